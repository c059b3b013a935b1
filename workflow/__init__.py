"""The way from a folder of sounds to a module as a list of commands: `vaectrol make` and `vaectrol demo`."""
