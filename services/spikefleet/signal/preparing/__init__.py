"""The one copy a sorter reads: windows, scale, filter, int16; and the way back."""
