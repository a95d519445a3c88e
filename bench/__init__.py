"""The engine compared with sharp, and the measurements that its constants come from. Run it with `make bench`.

images      the pictures: the samples, and those of a corpus
scores      SSIMULACRA 2, by the public implementation
processes   CPU and peak memory of a fresh process
ladders     a ladder by the engine and by sharp: CPU, memory, and bytes at an equal score
targets     `quality = "high"`: how many renditions reach their score, and what that costs
settings    encoders' settings: bytes and CPU for one score, as the reasons for the defaults
report      RESULTS.md
"""
