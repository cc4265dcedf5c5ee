"""What a rig installs: submit, upload, watch. No numpy, no torch, no cluster."""
