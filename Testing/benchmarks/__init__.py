"""Speed and memory of the library, always as ratios against something measured in the same run."""
