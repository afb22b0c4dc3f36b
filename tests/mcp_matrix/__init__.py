"""The MCP server beside clients of other versions of the SDK: `make mcp-matrix`.

calls.py      calls drawn from a world, and what they answer in process
client.py     plays a script of calls with whatever version of the SDK its interpreter has
__main__.py   virtual environments, servers, all pairs, a table
"""
