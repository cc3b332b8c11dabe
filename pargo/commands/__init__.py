"""The commands: a module for each topic and one for the stages, imported when one of its commands is called."""
