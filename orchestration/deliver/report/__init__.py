"""The report page: one file that tells how the learners do, opened anywhere, asking nobody for anything.

`page` puts the figures into the template, `shown` chooses what its tables show, `embedded` packs what
the page's script draws and filters, `library` has the JavaScript that draws, `file` writes the page.
"""
