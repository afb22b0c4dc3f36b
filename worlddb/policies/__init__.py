"""Policies: what a business asks of its staff beside the rules of its system, in a handbook and as executable bans."""
