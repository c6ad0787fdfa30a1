"""The proxy: works alone and headless; never imports the tray."""
