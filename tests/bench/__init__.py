"""How fast worlddb is, beside the naive way and the budget, measured in one run: `python -m tests.bench --help`.

    measure.py    clocks, repeats, spreads, facts of the machine
    budgets.py    what each figure may cost, from performance.md, as data
    subject.py    the worlds that are measured, with what each stage of their making was given
    naive.py      what a competent newcomer would write with SQLModel, Faker and plain SQLite
    stages.py     stages inside one process: schema, values, populate, image, generate
    commands.py   stages by the command line: spawn, use, startup
    act.py        calls, resets and episodes of agents
    judge.py      verdicts, episodes with their verdict, tasks through the gate
    report.py     the result as a table

Nothing here fails because something is slow.
"""
