"""Running an app under uvicorn: from the command line (`cli`) or from Python (`run.run`)."""
