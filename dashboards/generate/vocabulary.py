"""The words in which the dashboards are written: panels, columns, states, links; and how they become Grafana's JSON.

A dashboard is a description in English. Language enters when it is built: every text goes through `messages`, every
link to the dashboards of the same language. The JSON is Grafana's classic one, made with the Foundation SDK.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common as cb
from grafana_foundation_sdk.builders import dashboard as db
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, statushistory, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as d
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.generate.messages import Language, say

DATASOURCE = c.DataSourceRef(type_val="prometheus", uid="${datasource}")
TIMEZONE = "Asia/Tokyo"
COLUMNS = 24

# -- states: a symbol, a word and a colour, so that nobody needs to see the colour (after Okabe and Ito) -------------

GOOD, NOTICE, WARN, BAD, GREY = "#007A5A", "#0072B2", "#F2C200", "#C84600", "#6E6E6E"


@dataclass(frozen=True, slots=True)
class State:
    """How a value, or all from ``value`` to ``to``, is shown. Without a word the number itself is shown."""

    value: float | str
    colour: str
    word: str = ""
    symbol: str = ""
    to: float | None = None

    def mapping(self, index: int, language: Language) -> d.ValueMapping:
        """Return it as Grafana's value mapping."""
        text = " ".join(filter(None, (self.symbol, say(self.word, language)))) if self.word else None
        result = d.ValueMappingResult(text=text, color=self.colour or None, index=index)
        if isinstance(self.value, str):
            return d.ValueMap(options={self.value: result})
        if self.to is None:
            return d.ValueMap(options={f"{self.value:g}": result})
        return d.RangeMap(options=d.DashboardRangeMapOptions(from_val=self.value, to=self.to, result=result))


States = tuple[State, ...]
WITHOUT_END = 1e15


NOTHING = State(-9, GREY, "none", "–")
"""What a panel of states shows instead of nothing: Grafana itself would say that there is no time field."""


def some(colour: str) -> States:
    """Return the states of a number of things that should be none: the word "none" at 0, else the number."""
    return (State(0, GOOD, "none", "●"), State(1, colour, to=WITHOUT_END))


# -- links -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """A link to another dashboard that hands on ``variables``: the target's variable by field or own variable."""

    board: str
    title: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def build(self, language: Language) -> db.DashboardLink:
        """Return it as a data link."""
        parts = ["var-datasource=${datasource}", *(f"var-{name}={value}" for name, value in self.variables.items())]
        url = f"/d/{uid(self.board, language)}?{'&'.join(parts)}&${{__url_time_range}}"
        return db.DashboardLink(say(self.title, language)).url(url)


@dataclass(frozen=True, slots=True)
class RunbookLink:
    """A link to the runbook of the alert in the row."""

    title: str = "Open the runbook"

    def build(self, language: Language) -> db.DashboardLink:
        """Return it as a data link."""
        return (
            db.DashboardLink(say(self.title, language))
            .url("${runbooks}/${__data.fields.alertname}.md")
            .target_blank(True)
        )


def of_row(name: str) -> str:
    """Return the value of a table's field in the row of the link."""
    return f"${{__data.fields.{name}}}"


def of_series(name: str) -> str:
    """Return the label of the series of the link."""
    return f"${{__field.labels.{name}}}"


# -- queries and panels ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """One query. ``legend`` names its series, in Grafana's template language; words in it are messages."""

    expr: str
    legend: str = ""
    legend_is_message: bool = False


def named(expr: str, message: str) -> Query:
    """Return a query whose one series has a name in words."""
    return Query(expr, message, legend_is_message=True)


Drawing = stat.Panel | statetimeline.Panel | statushistory.Panel | table.Panel | timeseries.Panel


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: what it says, how wide it is (of 24), and how it is drawn."""

    title: str
    description: str
    width: int
    queries: tuple[Query, ...]
    draw: Callable[[Language], Drawing]
    instant: bool
    table: bool = False
    none: str = "none"
    """What it says when there is nothing to show."""

    def build(self, language: Language, number: int, place: d.GridPos) -> Drawing:
        """Return the SDK's builder."""
        panel = self.draw(language)
        panel.id(number).title(say(self.title, language)).description(say(self.description, language))
        panel.datasource(DATASOURCE).grid_pos(place).no_value(f"– {say(self.none, language)}")
        for ref, query in zip(ascii_uppercase, self.queries, strict=False):
            panel.with_target(self._target(ref, query, language))
        return panel

    def _target(self, ref: str, query: Query, language: Language) -> prometheus.Dataquery:
        target = prometheus.Dataquery().ref_id(ref).expr(query.expr).datasource(DATASOURCE)
        target = target.instant() if self.instant else target.range()
        legend = say(query.legend, language) if query.legend_is_message else query.legend
        if legend:
            target = target.legend_format(legend)
        return target.format(PromQueryFormat.TABLE if self.table else PromQueryFormat.TIME_SERIES)


def _queries(queries: "Query | str | Sequence[Query]") -> tuple[Query, ...]:
    if isinstance(queries, str):
        return (Query(queries),)
    return (queries,) if isinstance(queries, Query) else tuple(queries)


def _mappings(states: States, language: Language) -> list[d.ValueMapping]:
    return [state.mapping(index, language) for index, state in enumerate(states)]


def _plain(colour: str) -> db.ThresholdsConfig:
    return db.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps([d.Threshold(value=None, color=colour)])


def _steps(steps: Mapping[float, str], base: str) -> db.ThresholdsConfig:
    rest = [d.Threshold(value=value, color=colour) for value, colour in steps.items()]
    return db.ThresholdsConfig().mode(d.ThresholdsMode.ABSOLUTE).steps([d.Threshold(value=None, color=base), *rest])


def number(
    title: str,
    description: str,
    queries: Query | str | Sequence[Query],
    *,
    width: int,
    states: States = (),
    unit: str = "",
    steps: Mapping[float, str] | None = None,
    links: Sequence[Link] = (),
    sizes: tuple[int, int] | None = None,
    decimals: int | None = None,
    base: str = GREY,
    colours: Mapping[str, str] | None = None,
    lines: bool = False,
    none: str = "not known",
) -> Panel:
    """Return one or a few large values. ``sizes`` are of name and value in pixels, else as large as fits.

    ``colours`` are of single series, by their names. As ``lines`` they stand below each other, name left and value
    right: a table in large letters, which Grafana's own cannot have.
    """

    def draw(language: Language) -> stat.Panel:
        panel = (
            stat.Panel()
            .mappings(_mappings(states, language))
            .thresholds(_steps(steps or {}, base))
            .color_scheme(db.FieldColor().mode(d.FieldColorModeId.THRESHOLDS))
            .graph_mode(c.BigValueGraphMode.NONE)
            .color_mode(c.BigValueColorMode.BACKGROUND_SOLID)
            .justify_mode(c.BigValueJustifyMode.AUTO if lines else c.BigValueJustifyMode.CENTER)
            .text_mode(c.BigValueTextMode.AUTO)
            .wide_layout(False)
            .orientation(c.VizOrientation.HORIZONTAL if lines else c.VizOrientation.AUTO)
            .reduce_options(cb.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        )
        if unit:
            panel = panel.unit(_unit(unit, language))
        if decimals is not None:
            panel = panel.decimals(decimals)
        if sizes:
            panel = panel.text(cb.VizTextDisplayOptions().title_size(sizes[0]).value_size(sizes[1]))
        if links:
            panel = panel.data_links([link.build(language) for link in links])
        for name, colour in (colours or {}).items():
            fixed = d.FieldColor(mode=d.FieldColorModeId.FIXED, fixed_color=colour)
            panel = panel.override_by_name(say(name, language), [d.DynamicConfigValue(id_val="color", value=fixed)])
        return panel

    return Panel(title, description, width, _queries(queries), draw, instant=True, none=none)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: a label, or the value of a query: ``Value #A``, of a single one ``Value``."""

    field: str
    title: str
    width: int | None = None
    states: States = ()
    unit: str = ""
    link: Link | RunbookLink | None = None
    decimals: int | None = None
    hidden: bool = False

    def override(self, language: Language) -> list[d.DynamicConfigValue]:
        """Return what of the field is not the default."""
        properties: dict[str, object] = {"displayName": say(self.title, language)}
        if self.width:
            properties["custom.width"] = self.width
        if self.hidden:
            properties["custom.hidden"] = True
        if self.states:
            properties["mappings"] = _mappings(self.states, language)
        if any(state.colour for state in self.states):
            properties["custom.cellOptions"] = c.TableColoredBackgroundCellOptions(
                mode=c.TableCellBackgroundDisplayMode.BASIC
            )
        if self.unit:
            properties["unit"] = _unit(self.unit, language)
        if self.decimals is not None:
            properties["decimals"] = self.decimals
        if self.link:
            properties["links"] = [self.link.build(language).build()]
        return [d.DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()]


def table_of(
    title: str,
    description: str,
    queries: str | Sequence[str],
    columns: Sequence[Column],
    *,
    width: int,
    worst_first: Sequence[str] = (),
    ascending: bool = False,
    none: str = "none",
) -> Panel:
    """Return a table of label sets, one row each; the queries' rows are merged. Fields without a column are left out.

    ``worst_first`` names the fields by which it is sorted, the largest first.
    """
    asked = tuple(Query(expr) for expr in ([queries] if isinstance(queries, str) else queries))

    def draw(language: Language) -> table.Panel:
        titles = {column.field: say(column.title, language) for column in columns}
        panel = (
            table.Panel()
            .cell_height(c.TableCellHeight.SM)
            .show_header(True)
            .thresholds(_plain(GREY))
            .color_scheme(db.FieldColor().mode(d.FieldColorModeId.THRESHOLDS))
            .align(c.FieldTextAlignment.LEFT)
            .sort_by([_sorted_by(titles[name], ascending=ascending) for name in worst_first])
        )
        names = {column.field: column.field for column in columns}
        if len(asked) > 1:
            names = {field: f"{field} ({_ONLY})" if field.startswith("Value") else field for field in names}
            panel = panel.with_transformation(d.DataTransformerConfig(id_val="merge", options={}))
            panel = panel.with_transformation(_rows_of(columns))
        else:
            chosen = {"include": {"names": list(names)}}
            panel = panel.with_transformation(d.DataTransformerConfig(id_val="filterFieldsByName", options=chosen))
        order = {name: index for index, name in enumerate(names.values())}
        panel = panel.with_transformation(
            d.DataTransformerConfig(
                id_val="organize", options={"excludeByName": {}, "indexByName": order, "renameByName": {}}
            )
        )
        for column in columns:
            panel = panel.override_by_name(names[column.field], column.override(language))
        return panel

    return Panel(title, description, width, asked, draw, instant=True, table=True, none=none)


_ONLY = "lastNotNull"
"""How the one value of a group is taken."""


def _rows_of(columns: Sequence[Column]) -> d.DataTransformerConfig:
    """Return the grouping by all labels: one row each, and no table at all where no query gave any.

    Merged without it, empty answers are a table with the headings of the values and "No data", whatever was to be said.
    """
    fields = {
        column.field: {"operation": "aggregate", "aggregations": [_ONLY]}
        if column.field.startswith("Value")
        else {"operation": "groupby", "aggregations": []}
        for column in columns
    }
    return d.DataTransformerConfig(id_val="groupBy", options={"fields": fields})


def _sorted_by(title: str, *, ascending: bool) -> cb.TableSortByFieldState:
    return cb.TableSortByFieldState().display_name(title).desc(not ascending)


def state_timeline(
    title: str,
    description: str,
    query: Query,
    states: States,
    *,
    width: int,
    links: Sequence[Link] = (),
    none: str = "none",
) -> Panel:
    """Return bars over time, one a series, whose colour and word are the state."""

    def draw(language: Language) -> statetimeline.Panel:
        return (
            statetimeline.Panel()
            .mappings(_mappings((*states, NOTHING), language))
            .color_scheme(db.FieldColor().mode(d.FieldColorModeId.FIXED).fixed_color(GREY))
            .show_value(c.VisibilityMode.AUTO)
            .merge_values(True)
            .row_height(0.85)
            .fill_opacity(80)
            .line_width(0)
            .legend(_no_legend())
            .data_links([link.build(language) for link in links])
        )

    return Panel(title, description, width, _or_nothing(query, none), draw, instant=False, none=none)


def status_history(
    title: str,
    description: str,
    query: Query,
    states: States,
    *,
    width: int,
    cells: int = 36,
    none: str = "none",
) -> Panel:
    """Return a row of cells for each series, each the state at one time: at most ``cells`` of them."""

    def draw(language: Language) -> statushistory.Panel:
        return (
            statushistory.Panel()
            .mappings(_mappings((*states, NOTHING), language))
            .color_scheme(db.FieldColor().mode(d.FieldColorModeId.FIXED).fixed_color(GREY))
            .show_value(c.VisibilityMode.AUTO)
            .row_height(0.9)
            .col_width(0.95)
            .fill_opacity(80)
            .line_width(0)
            .max_data_points(cells)
            .legend(_no_legend())
        )

    return Panel(title, description, width, _or_nothing(query, none), draw, instant=False, none=none)


def time_series(
    title: str,
    description: str,
    queries: Query | Sequence[Query],
    *,
    width: int,
    unit: str = "",
    limits: Mapping[float, str] | None = None,
    points: int | None = None,
    none: str = "none",
) -> Panel:
    """Return lines over time. ``limits`` are drawn as dashed lines.

    ``points`` is at how many times at most it is asked, where each is dear: of all servers.
    """

    def draw(language: Language) -> timeseries.Panel:
        panel = (
            timeseries.Panel()
            .color_scheme(db.FieldColor().mode(d.FieldColorModeId.PALETTE_CLASSIC))
            .legend(
                cb.VizLegendOptions()
                .display_mode(c.LegendDisplayMode.TABLE)
                .placement(c.LegendPlacement.BOTTOM)
                .show_legend(True)
                .calcs(["lastNotNull", "max"])
            )
            .tooltip(cb.VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI).sort(c.SortOrder.DESCENDING))
            .line_width(2)
            .show_points(c.VisibilityMode.NEVER)
            .fill_opacity(0)
        )
        if points:
            panel = panel.max_data_points(points)
        if unit:
            panel = panel.unit(_unit(unit, language))
        if limits:
            style = cb.GraphThresholdsStyleConfig().mode(c.GraphThresholdsStyleMode.DASHED)
            panel = panel.thresholds(_steps(limits, "transparent")).thresholds_style(style)
        return panel

    return Panel(title, description, width, _queries(queries), draw, instant=False, none=none)


def _or_nothing(query: Query, none: str) -> tuple[Query, Query]:
    """Return the query, and one that says ``none`` while it gives nothing."""
    return (query, named(f"vector({NOTHING.value}) unless on () ({query.expr})", none))


def _no_legend() -> cb.VizLegendOptions:
    return (
        cb.VizLegendOptions()
        .display_mode(c.LegendDisplayMode.LIST)
        .placement(c.LegendPlacement.BOTTOM)
        .show_legend(False)
    )


def _unit(unit: str, language: Language) -> str:
    """Return Grafana's unit; one that is a word is a message."""
    return f"suffix: {say(unit.removeprefix('word:'), language)}" if unit.startswith("word:") else unit


# -- dashboards ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Variable:
    """What a reader can choose: one of the values of a label, or ``any`` of them (at first all)."""

    name: str
    title: str
    values: str
    any: bool = True
    all_is: str = ".*"
    """What all of them stands for in queries; empty: each that is listed, for a list that is short."""

    def build(self, language: Language) -> db.QueryVariable:
        """Return it as a query variable of the data source."""
        variable = (
            db.QueryVariable(self.name)
            .label(say(self.title, language))
            .datasource(DATASOURCE)
            .query(self.values)
            .definition(self.values)
            .refresh(d.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(d.VariableSort.NATURAL_ASC)
            .multi(self.any)
            .include_all(self.any)
        )
        if self.any:
            everything = d.VariableOption(selected=True, text="All", value="$__all")
            variable = variable.current(everything)
            if self.all_is:
                variable = variable.all_value(self.all_is)
        return variable


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, ``height`` grid units of 38 pixels high; with a title it has a line of its own above."""

    height: int
    panels: tuple[Panel, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard. Its file is ``name``.json, its uid ``dserver-name-language``."""

    name: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    since: str = "now-6h"
    refresh: str = "1m"
    runbooks: bool = False
    """Whether alerts are shown, so that it must be known where the runbooks are published."""

    def build(self, language: Language, others: "Sequence[Board]", runbooks: str) -> d.Dashboard:
        """Return it in a language, with links to ``others`` and to itself in the other language."""
        board = (
            db.Dashboard(say(self.title, language))
            .uid(uid(self.name, language))
            .description(say(self.description, language))
            .tags(["dserver", language])
            .timezone(TIMEZONE)
            .time(self.since, "now")
            .refresh(self.refresh)
            .tooltip(d.DashboardCursorSync.CROSSHAIR)
            .readonly()
        )
        source = db.DatasourceVariable("datasource").label(say("Data source", language)).type("prometheus")
        board = board.with_variable(source.current(d.VariableOption(text="prometheus", value="prometheus")))
        for variable in self.variables:
            board = board.with_variable(variable.build(language))
        if self.runbooks:
            board = board.with_variable(
                db.TextBoxVariable("runbooks")
                .label(say("Runbooks at", language))
                .default_value(runbooks)
                .current(d.VariableOption(text=runbooks, value=runbooks))
                .options([d.VariableOption(selected=True, text=runbooks, value=runbooks)])
            )
        board = board.links([*self._ways(language, others), self._other_language(language)])
        numbers, y = count(1), 0
        for row in self.rows:
            if row.title:
                head = db.Row(say(row.title, language)).id(next(numbers)).grid_pos(d.GridPos(h=1, w=COLUMNS, x=0, y=y))
                board, y = board.with_row(head), y + 1
            x = 0
            for panel in row.panels:
                place = d.GridPos(h=row.height, w=panel.width, x=x, y=y)
                board = board.with_panel(panel.build(language, next(numbers), place))
                x += panel.width
            if x != COLUMNS:
                raise ValueError(f"{self.name}: the panels of a row are {x} wide, not {COLUMNS}: {row.panels[0].title}")
            y += row.height
        return board.build()

    def _ways(self, language: Language, others: "Sequence[Board]") -> list[Builder[d.DashboardLink]]:
        return [
            _board_link(say(other.title, language), uid(other.name, language)) for other in others if other is not self
        ]

    def _other_language(self, language: Language) -> Builder[d.DashboardLink]:
        other: Language = "en" if language == "ja" else "ja"
        return _board_link({"en": "English", "ja": "日本語"}[other], uid(self.name, other))


def _board_link(title: str, target: str) -> db.DashboardLink:
    return (
        db.DashboardLink(title)
        .type(d.DashboardLinkType.LINK)
        .icon("dashboard")
        .url(f"/d/{target}")
        .include_vars(True)
        .keep_time(True)
    )


def uid(board: str, language: Language) -> str:
    """Return the fixed uid of a dashboard."""
    return f"dserver-{board}-{language}"


def as_json(board: d.Dashboard) -> str:
    """Return the classic JSON, the same every time."""
    return json.dumps(board, cls=JSONEncoder, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
