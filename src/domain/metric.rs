//! What a promotion can be judged by.

use crate::domain::complaint::Fault;

/// A figure per session, or a ratio of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Items shown.
    Displays,
    /// Items opened from a list.
    Clicks,
    /// Units bought.
    SoldUnits,
    /// Orders placed.
    Orders,
    /// Money paid for goods.
    Revenue,
    /// Revenue less cost.
    Profit,
    /// Clicks per display.
    ClickRate,
    /// Sold units per click.
    UnitsPerClick,
    /// Revenue per display.
    RevenuePerDisplay,
    /// Revenue per order.
    RevenuePerOrder,
    /// Profit per revenue.
    Margin,
}

impl Metric {
    /// Every metric with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Displays, "displays"),
        (Self::Clicks, "clicks"),
        (Self::SoldUnits, "sold_units"),
        (Self::Orders, "orders"),
        (Self::Revenue, "revenue"),
        (Self::Profit, "profit"),
        (Self::ClickRate, "click_rate"),
        (Self::UnitsPerClick, "units_per_click"),
        (Self::RevenuePerDisplay, "revenue_per_display"),
        (Self::RevenuePerOrder, "revenue_per_order"),
        (Self::Margin, "margin"),
    ];

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(metric, _)| *metric)
            .ok_or_else(|| Fault::unknown_value(text, &Self::ALL.map(|(_, name)| name)))
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(metric, _)| *metric == self)
            .map_or("", |(_, name)| name)
    }
}
