//! Reports: what experiments found, as tables and plots.
