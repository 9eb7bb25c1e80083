# Everything has a default, and without a mesh there is nothing to capture.
