"""Adapters beside the real frameworks: `python tests/adapters/run.py NAME… | --all` (or `make test-adapters`).

run.py        one virtual environment per framework, and pytest in it, offline
conftest.py   keeps these tests out of the normal run
NAME/         requirements.txt and the tests of one framework
"""
