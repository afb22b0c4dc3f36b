"""`python -m worlddb.cli`."""

from worlddb.cli import main

if __name__ == "__main__":
    main()
