"""Where work is done, beside processes of this machine; each module is imported when it is asked for."""
