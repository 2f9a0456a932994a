"""Days and settings from elsewhere: of the older recorder (`days`, `env`), and archives and exports (`importing`)."""
