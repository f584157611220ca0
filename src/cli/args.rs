//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::output::Format;

/// Decides what a shop's search and category pages show first, and proves whether that helped.
#[derive(Debug, Parser)]
#[command(name = "endcap", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Example:\n  endcap demo")]
pub(in crate::cli) struct Cli {
    /// Settings file; without it, endcap.toml in the working directory if there is one.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of the server that remote commands talk to.
    #[arg(long, global = true, value_name = "URL", env = "ENDCAP_URL", default_value = "http://127.0.0.1:7700")]
    pub url: String,
    /// File that holds the API key; ENDCAP_KEY may hold the key itself.
    #[arg(long, global = true, value_name = "FILE", env = "ENDCAP_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Run the server.
    #[command(after_help = "Example:\n  endcap serve --listen 127.0.0.1:7700 --data ./data")]
    Serve(Serve),
    /// Run a sample shop in a temporary directory and say how to try it.
    #[command(after_help = "Example:\n  endcap demo --port 7700")]
    Demo(Demo),
    /// Feed a market: catalogue, categories or scores.
    #[command(after_help = "Example:\n  endcap import catalogue shop.ndjson --market se")]
    Import(Import),
    /// Make a sample shop of any size as native NDJSON; the same seed gives the same bytes.
    #[command(after_help = "Example:\n  endcap generate --variants 20000 --seed 7 > shop.ndjson")]
    Generate(Generate),
    /// Show a page as a shopper would get it.
    #[command(after_help = "Example:\n  endcap rank --market se --category main:jackets --explain")]
    Rank(Rank),
    /// Promotions and demotions.
    #[command(subcommand)]
    Promo(Promo),
    /// API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Write a backup of a running server, or of a stopped data directory, into a folder.
    #[command(after_help = "Example:\n  endcap backup /mnt/backup --data ./data")]
    Backup(Backup),
    /// Bring a data directory back from a backup, an export or its own journal.
    #[command(after_help = "Examples:\n  endcap restore ./data --accept-loss\n  endcap restore config-18342.jsonl --into ./data")]
    Restore(Restore),
    /// Check a data directory or an export file without changing it.
    #[command(after_help = "Example:\n  endcap verify ./data")]
    Verify(Verify),
    /// Write everything a store holds into one file.
    #[command(subcommand)]
    Export(Export),
    /// Print the description of the API.
    #[command(after_help = "Example:\n  endcap openapi > openapi.json")]
    Openapi,
    /// Print shell completions.
    #[command(after_help = "Example:\n  endcap completions bash > /etc/bash_completion.d/endcap")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Run the server.
#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Data directory.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Let time stand still and be moved over the API; only on an empty or so marked directory.
    #[arg(long)]
    pub test_clock: bool,
    /// Listen on another address than loopback without TLS in front.
    #[arg(long)]
    pub allow_plaintext: bool,
}

/// Run a sample shop.
#[derive(Debug, Args)]
pub(in crate::cli) struct Demo {
    /// Port on 127.0.0.1.
    #[arg(long, default_value_t = 7700)]
    pub port: u16,
    /// Variants of the sample shop.
    #[arg(long, default_value_t = 2_000)]
    pub variants: u32,
    /// Seed of the sample shop.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

/// What a feed is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FeedKind {
    /// Products and variants; categories may come along.
    Catalogue,
    /// Category nodes only.
    Categories,
    /// Strategy scores only.
    Scores,
}

/// What a feed does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FeedMode {
    /// Replaces everything of the kinds it contains.
    Full,
    /// Changes what it names.
    Delta,
    /// Checks everything and changes nothing.
    Validate,
}

/// Feed a market.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// What the file is about.
    #[arg(value_enum)]
    pub kind: FeedKind,
    /// The feed, plain or gzip.
    pub file: PathBuf,
    /// The market.
    #[arg(long)]
    pub market: String,
    /// Whether the feed is everything, or only changes.
    #[arg(long, value_enum, default_value_t = FeedMode::Full)]
    pub mode: FeedMode,
    /// ndjson or csv; by the file's name if absent.
    #[arg(long = "feed-format", value_name = "FORMAT")]
    pub feed_format: Option<String>,
    /// File with the mapping of columns; it is stored under its name first.
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// Rows that may be wrong before nothing is imported.
    #[arg(long, default_value_t = 0)]
    pub max_errors: u64,
    /// Import although much would vanish.
    #[arg(long)]
    pub force: bool,
}

/// Make a sample shop.
#[derive(Debug, Args)]
pub(in crate::cli) struct Generate {
    /// Number of variants.
    #[arg(long, default_value_t = 20_000)]
    pub variants: u32,
    /// The same seed gives the same shop.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

/// Show a page.
#[derive(Debug, Args)]
pub(in crate::cli) struct Rank {
    /// The market.
    #[arg(long)]
    pub market: String,
    /// Category page.
    #[arg(long)]
    pub category: Option<String>,
    /// Text query.
    #[arg(short, long)]
    pub q: Option<String>,
    /// Filter as attribute=value; repeat for more.
    #[arg(long = "filter", value_name = "ATTR=VALUE")]
    pub filters: Vec<String>,
    /// variant, product or product_group.
    #[arg(long, default_value = "product")]
    pub group_by: String,
    /// Session, for the split of measured promotions.
    #[arg(long)]
    pub session: Option<String>,
    /// Items on the page.
    #[arg(long, default_value_t = 24)]
    pub limit: u32,
    /// Items to skip.
    #[arg(long, default_value_t = 0)]
    pub offset: u32,
    /// Another instant.
    #[arg(long)]
    pub at: Option<String>,
    /// Say why each item stands where it stands.
    #[arg(long)]
    pub explain: bool,
}

/// Promotions and demotions.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Promo {
    /// List them.
    #[command(after_help = "Example:\n  endcap promo list --market se --state active")]
    List {
        /// Only of this market.
        #[arg(long)]
        market: Option<String>,
        /// Only in this state: scheduled, active, suspended, ended, archived.
        #[arg(long)]
        state: Option<String>,
    },
    /// Show one.
    #[command(after_help = "Example:\n  endcap promo show prm_01k9tr6y0b2d4f6h8k0m2p4r6t")]
    Show {
        /// Its id.
        id: String,
    },
    /// Create one from a JSON file, or from stdin.
    #[command(after_help = "Example:\n  endcap promo create warm-week.json")]
    Create {
        /// The file; - for stdin.
        file: PathBuf,
    },
    /// End one now.
    #[command(after_help = "Example:\n  endcap promo end prm_01k9tr6y0b2d4f6h8k0m2p4r6t")]
    End {
        /// Its id.
        id: String,
    },
    /// Stop one until it is resumed.
    #[command(after_help = "Example:\n  endcap promo suspend prm_01k9tr6y0b2d4f6h8k0m2p4r6t")]
    Suspend {
        /// Its id.
        id: String,
    },
    /// Let a suspended one go on.
    #[command(after_help = "Example:\n  endcap promo resume prm_01k9tr6y0b2d4f6h8k0m2p4r6t")]
    Resume {
        /// Its id.
        id: String,
    },
}

/// API keys.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum KeyCommand {
    /// Make a key; it is shown once.
    #[command(after_help = "Example:\n  endcap key create --name storefront --role storefront-server --market se")]
    Create {
        /// Its name for people.
        #[arg(long)]
        name: String,
        /// What it may do; repeat for more.
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// Markets it may touch; repeat for more, * for all.
        #[arg(long = "market", required = true)]
        markets: Vec<String>,
        /// Extra rights, such as import or profit.
        #[arg(long = "grant")]
        grants: Vec<String>,
        /// When it ends, at most two years ahead.
        #[arg(long)]
        expires_at: Option<String>,
        /// Web origins a public key may be used from.
        #[arg(long = "origin")]
        origins: Vec<String>,
    },
    /// List keys without their secrets.
    #[command(after_help = "Example:\n  endcap key list")]
    List,
    /// Revoke a key within a second.
    #[command(after_help = "Example:\n  endcap key revoke key_01k9q0a2b4c6d8e0f2g4h6j8k0")]
    Revoke {
        /// Its id.
        id: String,
    },
}

/// Write a backup.
#[derive(Debug, Args)]
pub(in crate::cli) struct Backup {
    /// Folder for the backup.
    pub into: PathBuf,
    /// Data directory of a stopped server; without it the running server is asked.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Bring a data directory back.
#[derive(Debug, Args)]
pub(in crate::cli) struct Restore {
    /// A data directory, or an export file.
    pub from: PathBuf,
    /// Where an export file is restored to.
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// The last revision or instant to keep.
    #[arg(long, value_name = "REVISION|TIME")]
    pub at: Option<String>,
    /// Go on although acknowledged writes are lost.
    #[arg(long)]
    pub accept_loss: bool,
    /// Put the restored store in place of the one that lies there.
    #[arg(long)]
    pub replace: bool,
}

/// Check a store or a file.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// A data directory or an export file.
    pub path: PathBuf,
}

/// Write everything into one file.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Export {
    /// A whole store.
    #[command(after_help = "Example:\n  endcap export store shop.jsonl --data ./data")]
    Store {
        /// The file to write.
        file: PathBuf,
        /// Data directory of a stopped server.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
}
