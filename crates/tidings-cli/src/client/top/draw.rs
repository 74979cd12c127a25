//! Draws the live view: a function of its state.

use super::super::text::plain;
use super::state::{Sort, State};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table, TableState, Wrap};
use serde_json::Value;

/// Draws the view.
pub(super) fn draw(state: &State, frame: &mut Frame<'_>) {
    let below = if state.why.is_some() { Constraint::Fill(1) } else { Constraint::Length(9) };
    let areas = [Constraint::Length(3), Constraint::Fill(1), below, Constraint::Length(1)];
    let [head, members, below, foot] = Layout::vertical(areas).areas(frame.area());
    frame.render_widget(Paragraph::new(about_node(state)), head);
    draw_members(state, frame, members);
    match &state.why {
        Some((name, text)) => {
            let title = format!(" why {} ", plain(&Value::from(name.as_str())));
            let text = text.as_deref().unwrap_or("asking the agent ...");
            let why = Paragraph::new(text).wrap(Wrap { trim: false });
            frame.render_widget(why.block(Block::bordered().title(title)), below);
        }
        None => {
            let lines = state.events.iter().map(|event| Line::from(event.as_str()));
            let events = Paragraph::new(lines.collect::<Vec<_>>());
            frame.render_widget(events.block(Block::bordered().title(" events ")), below);
        }
    }
    let keys = match state.types {
        true => format!("filter: {}_   Enter keeps it, Esc clears it", state.filter),
        false => "q quit   s sort   / filter   up, down select   Enter why   Esc back".into(),
    };
    frame.render_widget(Paragraph::new(keys).dark_gray(), foot);
}

/// The node: its name and health, its members, and the traffic that it rejected.
fn about_node(state: &State) -> Vec<Line<'_>> {
    let (info, members) = (&state.info, &state.info["members"]);
    if let Some(error) = &state.lost {
        let text = format!("the agent does not answer, trying again: {error}");
        return vec![Line::from(text).red()];
    }
    if info.is_null() {
        return vec![Line::from("asking the agent ...")];
    }
    let ready = if info["ready"] == true { "ready" } else { "not ready" };
    vec![
        Line::from(format!(
            "{} of {}   {ready}   health {} (0 is good)   view {}",
            plain(&info["node"]["name"]),
            plain(&info["cluster"]),
            info["health"],
            plain(&info["view"])
        )),
        Line::from(format!(
            "{} alive, {} suspect, {} failed, {} left",
            members["alive"], members["suspect"], members["failed"], members["left"]
        )),
        Line::from(format!("rejected: {}", rejected(&state.stats))),
    ]
}

/// Why traffic was rejected, and how often.
fn rejected(stats: &Value) -> String {
    let mut reasons = Vec::new();
    for (channel, name) in [("rejected_datagrams", "datagrams"), ("rejected_streams", "streams")] {
        for (reason, count) in stats[channel].as_object().into_iter().flatten() {
            if count.as_u64().is_some_and(|count| count > 0) {
                reasons.push(format!("{count} {name} ({reason})"));
            }
        }
    }
    if reasons.is_empty() { "nothing".into() } else { reasons.join(", ") }
}

fn draw_members(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let members = state.rows();
    let selected = members.iter().position(|member| member.is_selected);
    let rows = members.into_iter().map(|member| {
        let color = match member.state.as_str() {
            "alive" => Color::Reset,
            "suspect" => Color::Yellow,
            "failed" => Color::Red,
            _ => Color::DarkGray,
        };
        let [status, addr, rtt, changed, about] = member.cells;
        let name = plain(&Value::from(member.name));
        Row::new([name, status, addr, rtt, changed, about]).style(Style::new().fg(color))
    });
    let widths = [
        Constraint::Max(24),
        Constraint::Length(13),
        Constraint::Max(22),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Fill(1),
    ];
    let sort = match state.sort {
        Sort::State => "state",
        Sort::Name => "name",
        Sort::Rtt => "round trip",
    };
    let filter = match state.filter.as_str() {
        "" => String::new(),
        filter => format!(", with {filter:?}"),
    };
    let title = format!(" members by {sort}{filter} ");
    let table = Table::new(rows, widths)
        .header(Row::new(["NAME", "STATUS", "ADDRESS", "RTT", "CHANGED", "TAGS"]).bold())
        .row_highlight_style(Style::new().reversed())
        .block(Block::bordered().title(title));
    let mut shown = TableState::new().with_selected(selected);
    frame.render_stateful_widget(table, area, &mut shown);
}

#[cfg(test)]
mod tests {
    use super::super::state::Action;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent};
    use serde_json::json;

    fn state() -> State {
        let member = |name: &str, state: &str, rtt: Option<f64>| {
            json!({"name": name, "state": state, "addr": "10.0.0.1", "port": 7, "rtt": rtt,
                   "meta": "", "meta_text": ""})
        };
        let members = [
            member("a", "alive", None),
            member("b", "alive", Some(0.002)),
            member("c", "dead", Some(0.003)),
        ];
        let mut state = State::default();
        let info = json!({"node": {"name": "a"}, "cluster": "shop", "health": 0, "ready": true,
            "view": "7", "members": {"alive": 2, "suspect": 0, "failed": 1, "left": 0}});
        let stats = json!({"stats": {"rejected_datagrams": {"key": 3, "format": 0}}});
        state.look([info, json!({"members": members}), stats]);
        state.event(&json!({"t": 61.0, "text": "c failed\x1b", "node": {"name": "c"}}));
        state
    }

    fn drawn(state: &State) -> String {
        let mut terminal = Terminal::new(TestBackend::new(90, 24)).unwrap();
        terminal.draw(|frame| draw(state, frame)).unwrap();
        terminal.backend().to_string()
    }

    fn press(state: &mut State, code: KeyCode) -> Option<Action> {
        state.key(KeyEvent::from(code))
    }

    fn names(state: &State) -> String {
        state.rows().into_iter().map(|row| row.name).collect()
    }

    #[test]
    fn the_live_view_shows_no_hostile_text_as_it_is() {
        let hostile = "x\u{7f}\u{9b}\u{202e}\u{200b}";
        let member = json!({"name": hostile, "state": hostile, "addr": hostile, "port": hostile,
            "rtt": hostile, "meta": hostile});
        let tagged = json!({"name": "b", "state": "alive", "tags": {hostile: hostile}});
        let info = json!({"node": {"name": hostile}, "cluster": hostile, "health": hostile,
            "ready": hostile, "view": hostile, "members": {"alive": hostile, "left": hostile}});
        let stats = json!({"stats": {"rejected_datagrams": {hostile: 1}}});
        let mut state = State::default();
        state.look([info, json!({"members": [member, tagged]}), stats]);
        state.event(&json!({"t": 61.0, "text": hostile, "node": {"name": hostile}}));
        let looked = drawn(&state);
        state.lose(hostile);
        for text in [looked, drawn(&state)] {
            assert!(text.contains("x\\u{7f}\\u{9b}\\u{202e}\\u{200b}"), "{text}");
            let found = text.chars().find(|&c| c != 'x' && hostile.contains(c));
            assert_eq!(found, None, "{text}");
        }
    }

    #[test]
    fn the_view_has_the_node_its_members_events_and_rejected_traffic() {
        let text = drawn(&state());
        for part in [
            "a of shop   ready   health 0",
            "2 alive, 0 suspect, 1 failed, 0 left",
            "rejected: 3 datagrams (key)",
            "00:01:01 c failed\\u{1b}",
            "q quit",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let row = text.lines().find(|line| line.contains("│c ")).unwrap();
        let row: Vec<_> = row.split_whitespace().collect();
        assert_eq!(row[1..5], ["failed", "10.0.0.1:7", "3.0ms", "00:01:01"], "{text}");
    }

    #[test]
    fn keys_sort_filter_select_and_explain() {
        let mut state = state();
        assert_eq!(names(&state), "cab", "those that are not well first");
        press(&mut state, KeyCode::Char('s'));
        assert_eq!(names(&state), "abc");
        press(&mut state, KeyCode::Char('s'));
        assert_eq!(names(&state), "cba", "the slowest first, then those without a time");
        press(&mut state, KeyCode::Char('/'));
        "FAIL".chars().for_each(|letter| _ = press(&mut state, KeyCode::Char(letter)));
        assert_eq!(names(&state), "c");
        assert!(drawn(&state).contains("filter: FAIL_"));
        press(&mut state, KeyCode::Enter);
        assert_eq!(press(&mut state, KeyCode::Enter), None, "nobody is selected");
        press(&mut state, KeyCode::Down);
        let explain = press(&mut state, KeyCode::Enter);
        assert_eq!(explain, Some(Action::Explain("c".into())));
        state.explain("b", "of another member".into());
        assert!(drawn(&state).contains("asking the agent"));
        state.explain("c", "the probe round ended without an ack".into());
        assert!(drawn(&state).contains("the probe round ended without an ack"));
        press(&mut state, KeyCode::Esc);
        assert!(!drawn(&state).contains("probe round"));
        press(&mut state, KeyCode::Esc);
        assert_eq!(names(&state), "cba");
        assert_eq!(press(&mut state, KeyCode::Char('q')), Some(Action::Quit));
    }

    #[test]
    fn an_agent_that_is_gone_is_told_until_it_answers_again() {
        let mut state = state();
        state.lose("nothing runs");
        assert!(drawn(&state).contains("does not answer, trying again: nothing runs"));
        state.look([json!({"ready": false}), json!({}), json!({})]);
        assert!(drawn(&state).contains("not ready"));
    }

    #[test]
    fn a_terminal_of_any_size_is_drawn_on() {
        for (width, height) in [(1, 1), (3, 40), (200, 2), (0, 0)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(&state(), frame)).unwrap();
        }
    }
}
