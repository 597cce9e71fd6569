"""Pictures of numbers: colours, a canvas with words and a scale, and histograms; numpy and Pillow, no plotting."""
