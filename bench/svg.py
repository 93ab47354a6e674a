"""Plots as SVG, written by hand: nothing to install, and a browser shows them as they are."""

import html

FONT = 'font-family="system-ui, sans-serif"'
COLOURS = {
    "echo": "#9a9a9a", "waypost": "#0b7285", "gdnsd": "#e8590c", "nsd": "#5f3dc4", "knot": "#2b8a3e",
    "bind": "#a61e4d", "powerdns": "#b08900", "powerdns-lua": "#7a5c00",
}
INK, LINE = "#444444", "#d0d0d0"
WIDTH, LEFT, RIGHT = 760, 120, 90
BAR, GAP, HEAD = 18, 6, 34


def bars(title, groups, limit):
    """Horizontal bars. `groups`: [(heading, [(name, multiple)])]. Bars over `limit` are cut, with
    their number beside them."""
    parts, top = [], 40
    room = WIDTH - LEFT - RIGHT
    for heading, rows in groups:
        parts.append(text(LEFT, top + 20, heading, weight="600"))
        top += HEAD
        begin = top
        for name, multiple in rows:
            length = min(multiple, limit) / limit * room
            parts.append(text(LEFT - 8, top + 14, name, anchor="end"))
            parts.append(rectangle(LEFT, top, length, BAR, COLOURS.get(name, INK)))
            if multiple > limit:
                parts.append(rectangle(LEFT + length - 14, top, 4, BAR, "#ffffff"))
            parts.append(text(LEFT + length + 6, top + 14, f"{multiple:.2f}x"))
            top += BAR + GAP
        one = LEFT + room / limit
        parts.append(line(one, begin - 4, one, top - GAP + 4, INK, dashes="3 3"))
        top += 8
    return picture(title, top + 10, parts)


def lines(title, labels, series, unit):
    """A line for each of `series` {name: [values]} over `labels`, the values from zero."""
    height, top, bottom = 380, 50, 50
    most = max(max(values) for values in series.values()) * 1.08
    across = [LEFT + place * (WIDTH - LEFT - RIGHT - 20) / (len(labels) - 1) for place in range(len(labels))]

    def down(value):
        return height - bottom - value / most * (height - top - bottom)

    parts = []
    step = next(step for step in (0.5, 1, 2, 5, 10, 20, 50) if most / step <= 8)
    for place in range(int(most / step) + 1):
        parts.append(line(LEFT, down(place * step), WIDTH - RIGHT - 20, down(place * step), LINE))
        parts.append(text(LEFT - 8, down(place * step) + 4, f"{place * step:g} {unit}", anchor="end"))
    for label, x in zip(labels, across):
        parts.append(text(x, height - bottom + 22, label, anchor="middle"))
    ends = []
    for name, values in series.items():
        points = " ".join(f"{x:.1f},{down(value):.1f}" for x, value in zip(across, values))
        colour = COLOURS.get(name, INK)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        ends.append((down(values[-1]), name, colour))
    # Names at the lines' ends, kept apart.
    above = -100
    for y, name, colour in sorted(ends):
        above = max(y, above + 15)
        parts.append(text(across[-1] + 8, above + 4, name, colour=colour, weight="600"))
    return picture(title, height, parts)


def picture(title, height, parts):
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img">\n<title>{html.escape(title)}</title>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
        f"{text(LEFT, 24, title, size=15, weight='600')}\n{body}\n</svg>\n"
    )


def text(x, y, words, anchor="start", size=12, weight="400", colour=INK):
    return (f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" font-weight="{weight}" fill="{colour}" '
            f'text-anchor="{anchor}">{html.escape(words)}</text>')


def rectangle(x, y, width, height, colour):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def line(x1, y1, x2, y2, colour, dashes=""):
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashed}/>'
