"""An MCP server: the worlds of a store, to be acted in by any client of the Model Context Protocol.

episodes.py   live episodes by world and name; no protocol
server.py     the protocol, on the official SDK's low-level server, versions 1.28 to 2.x
gate.py       who may come in: host, origin, token, size
http.py       one MCP endpoint per episode, and the trainer's routes beside them
run.py        stdio and HTTP until Ctrl-C
"""
