"""Networks of components, and detectors for an edit, as ONNX files; a page that runs them in a browser."""
