"""The command line and the local AWS, for people's machines; never in the function's package."""
