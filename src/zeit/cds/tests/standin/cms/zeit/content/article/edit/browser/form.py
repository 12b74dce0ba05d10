"""As zeit.content.article.edit.browser.form."""

import zope.publisher.browser


class StatusForms(zope.publisher.browser.BrowserView):
    """What is shown of the workflow, beside the text of an article."""
