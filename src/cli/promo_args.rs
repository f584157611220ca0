//! What may be written behind `endcap promo`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Promotions and demotions.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Promo {
    /// List them
    #[command(after_help = "Example:\n  endcap promo list --market se --state active")]
    List {
        /// Only of this market
        #[arg(long, value_name = "M")]
        market: Option<String>,
        /// Only in this state: scheduled, active, suspended, ended or archived
        #[arg(long)]
        state: Option<String>,
    },
    /// Show one
    #[command(after_help = "Example:\n  endcap promo show prm_01k9tr6y0b2d4f6h8k0m2p4r6t")]
    Show {
        /// Its id
        id: String,
    },
    /// Tell what publishing one would run into: wrong fields, a full calendar, others in the way
    #[command(
        after_help = "Ends with 3 if a field is wrong, 4 if a market is full.\n\nExample:\n  \
                      endcap promo check warm-week.json"
    )]
    Check {
        /// The draft, as `create` takes it; - for standard input
        file: PathBuf,
        /// The promotion that it would replace
        #[arg(long)]
        id: Option<String>,
    },
    /// Show a page before and after a promotion that is not published
    #[command(
        after_help = "Examples:\n  endcap promo preview warm-week.json --market se\n  endcap promo \
                      preview warm-week.json --market se --category main:jackets --levels"
    )]
    Preview(PromoPreview),
    /// Say why a draft, or a promotion that stands, holds a variant or does not
    #[command(
        after_help = "Examples:\n  endcap promo why FJO-DOWN-L --market se --draft \
                      warm-week.json\n  endcap promo why FJO-DOWN-L --market se --id \
                      prm_01k9tr6y0b2d4f6h8k0m2p4r6t"
    )]
    Why {
        /// Key of the variant
        variant: String,
        /// The market
        #[arg(long, value_name = "M")]
        market: String,
        /// A draft, as `create` takes it; - for standard input
        #[arg(long, value_name = "FILE", required_unless_present = "id")]
        draft: Option<PathBuf>,
        /// The promotion
        #[arg(long)]
        id: Option<String>,
    },
    /// Create one from a JSON file
    #[command(after_help = "Example:\n  endcap promo create warm-week.json")]
    Create {
        /// The file; - for standard input
        file: PathBuf,
    },
    /// Change some fields of one: a JSON file with just these, null for the default
    #[command(
        after_help = "Example:\n  endcap promo edit prm_01k9tr6y0b2d4f6h8k0m2p4r6t lower.json"
    )]
    Edit {
        /// Its id
        id: String,
        /// The file; - for standard input
        file: PathBuf,
    },
    /// Make one like another, held back and under a name of its own
    #[command(
        after_help = "Example:\n  endcap promo duplicate prm_01k9tr6y0b2d4f6h8k0m2p4r6t --name Warmer"
    )]
    Duplicate {
        /// Id of the original
        id: String,
        /// Name of the copy
        #[arg(long)]
        name: Option<String>,
    },
    /// Hold some back until they are resumed
    #[command(after_help = "Example:\n  endcap promo suspend prm_01k9tr6y0b2d4f6h8k0m2p4r6t")]
    Suspend {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Let suspended ones go on
    #[command(after_help = "Example:\n  endcap promo resume prm_01k9tr6y0b2d4f6h8k0m2p4r6t")]
    Resume {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// End some now
    #[command(after_help = "Example:\n  endcap promo end prm_01k9tr6y0b2d4f6h8k0m2p4r6t")]
    End {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Tell who changed one when, and what became different
    #[command(after_help = "Example:\n  endcap promo history prm_01k9tr6y0b2d4f6h8k0m2p4r6t")]
    History {
        /// Its id
        id: String,
    },
    /// Make one again what it was after an earlier revision, also out of the archive
    #[command(after_help = "Example:\n  endcap promo restore prm_01k9tr6y0b2d4f6h8k0m2p4r6t 18311")]
    Restore {
        /// Its id
        id: String,
        /// The revision, as `history` tells it
        revision: u64,
    },
    /// How full a market is over time, against the hundred that may be active at once
    #[command(after_help = "Example:\n  endcap promo calendar --market se --from 2027-03-01")]
    Calendar {
        /// The market
        #[arg(long, value_name = "M")]
        market: String,
        /// From this date or time on; now without
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Up to this date or time; 92 days later without
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
    },
}

/// A page before and after.
#[derive(Debug, Args)]
pub(in crate::cli) struct PromoPreview {
    /// The draft, as `create` takes it; - for standard input
    pub(in crate::cli) file: PathBuf,
    /// The market
    #[arg(long, value_name = "M")]
    pub(in crate::cli) market: String,
    /// The promotion that the draft would replace
    #[arg(long)]
    pub(in crate::cli) id: Option<String>,
    /// Category page
    #[arg(long, value_name = "C")]
    pub(in crate::cli) category: Option<String>,
    /// Another instant than now
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) at: Option<String>,
    /// One side of the split for every measured promotion: shown or withheld
    #[arg(long, value_name = "ARM", default_value = "shown")]
    pub(in crate::cli) arms: String,
    /// Places on the page
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub(in crate::cli) limit: u32,
    /// Low, medium and high side by side, whatever level the draft has
    #[arg(long)]
    pub(in crate::cli) levels: bool,
}
