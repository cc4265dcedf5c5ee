"""RT-Sort: tells units by the order in which electrodes detect their spikes, in real time."""
