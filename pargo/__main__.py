"""`python -m pargo`: the form in which the workflow's rules call the stages."""

from pargo.cli import main

main()
