"""The pages for people: the NOC page and those that it leads to. Without a script they all work too.

| module | what it does |
|---|---|
| `fleet` | looks at what the monitoring knows, on the event loop; what a look gives never changes |
| `front` and one module for each further page | a view: what the page shows, made of a look in a thread |
| `filters` | which servers a reader wants to see, as links |
| `asked` | who asks: language, theme, trust |
| `layout` | makes pages once for all who see the same, answers, and says 304 when only the clock went on |
| `words`, `catalogue/` | every sentence in both languages; times |
| `templates/`, `static/`, `assets` | `layout.html.j2` is extended, `parts.html.j2` has what several pages show |

A further page is a view (`layout.View`), a template that extends the layout, a file in the catalogue, and a route in
`exporter.web.app` that answers by `Layout.answer`. Each child of its ``<main>`` needs an ``id``: the script puts in
anew only those that changed.
"""
