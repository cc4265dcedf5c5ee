"""One file per sorter: what turns a prepared recording into spike trains."""
