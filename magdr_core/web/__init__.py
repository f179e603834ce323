"""A local web page: pictures are uploaded to this computer and judged on it.

What the page says comes from a :class:`~magdr_core.web.answers.Service`; here is what browsers need. Flask is
imported by `app` and `server` alone (extra `demo`).
"""
