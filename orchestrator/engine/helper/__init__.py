"""orch's own image: one static program of 3 KB that every engine is given by `load`, so nothing has to be pulled.

As a container that runs, it keeps an overlay network on its node and shows by traffic that packets pass between hosts
(`reach.py`); with the host's network it reads the host's routes (`routes.py`); as a container that never starts, it
gives the archive API a door to volumes. `image.py` makes the image out of the binaries beside it, `build.sh` makes
these out of `helper.c`. Who makes such containers, and when, is decided elsewhere.
"""
