"""Networks of components as ONNX files, checked against torch, and a page that runs them in a browser."""
