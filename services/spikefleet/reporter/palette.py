"""The colours of the report's figures: placeholders that the page's style sheet fills in.

A placeholder is a colour no drawing would use by itself, so that it can be found in the SVG.
"""

INK, MUTED, GRID, ACCENT, BAD, PANEL = (f"#0{i}0{i}0{i}" for i in range(1, 7))
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    ACCENT: "var(--accent)",
    BAD: "var(--bad)",
    PANEL: "var(--panel)",
}
# What becomes pixels no style sheet can recolour: these are right on both grounds.
SPIKE, SPIKE_REJECTED = "#3b82c4", "#c98a8a"
