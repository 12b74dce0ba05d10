"""As zeit.cms.browser.view."""


class Base:
    def __call__(self):
        self.request.response.setHeader('Cache-Control', 'no-cache')
        return super().__call__()
