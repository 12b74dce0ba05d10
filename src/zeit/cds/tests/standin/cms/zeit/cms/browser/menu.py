"""As zeit.cms.browser.menu; its base, of z3c.menu.simple, makes an address of `viewURL`."""

import html

import zope.viewlet.viewlet


class GlobalMenuItem(zope.viewlet.viewlet.ViewletBase):
    activeCSS = 'selected'
    inActiveCSS = ''
    pathitem = ''
    weight = 0

    @property
    def url(self):
        return f'{self.request.getApplicationURL()}/{self.viewURL}'

    @property
    def selected(self):
        app_url = self.request.getApplicationURL()
        path = self.request.getURL()[len(app_url) :].split('/')
        return bool(path and self.pathitem in path)

    def render(self):
        css = self.activeCSS if self.selected else self.inActiveCSS
        title = html.escape(self.title)
        return f'<li class="{css}"><a href="{html.escape(self.url)}"><span>{title}</span></a></li>'
