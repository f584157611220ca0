//! `endcap generate`: a sample shop of any size, line by line.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};

use crate::catalogue::product::FeedOperation;
use crate::cli::args::Generate;
use crate::cli::output::{Format, Outcome, draws_progress};
use crate::feed::export::{Export, Written};
use crate::feed::write::write;
use crate::generator::shop::{Shop, shop};

/// Bytes collected before they are written.
const PIECE_BYTES: usize = 256 << 10;

/// Writes the shop to standard output, natively or as a foreign feed. Memory is that of one product.
///
/// # Errors
/// What the system says; a closed pipe is no error.
pub(in crate::cli) fn generate(command: &Generate, format: Format) -> Outcome<()> {
    let bar = progress(command.variants);
    let shop = Shop::new(command.variants, command.seed);
    let out = &mut io::stdout().lock();
    let written = match format.written() {
        Some(format) => export(&shop, format, out, &bar),
        None => stream(&shop, out, &bar),
    };
    bar.finish_and_clear();
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(error)
            .context("the shop cannot be written")
            .into()),
        _ => Ok(()),
    }
}

/// Writes every line of a shop; the bar counts its variants.
pub(in crate::cli) fn stream(
    sample: &Shop,
    out: &mut impl Write,
    bar: &ProgressBar,
) -> io::Result<()> {
    let mut lines = Vec::with_capacity(2 * PIECE_BYTES);
    for operation in shop(sample) {
        write(&operation, sample.currency, &mut lines);
        if let FeedOperation::ReplaceProduct(product) = &operation {
            bar.inc(product.variants.len() as u64);
        }
        if PIECE_BYTES <= lines.len() {
            out.write_all(&lines)?;
            lines.clear();
        }
    }
    out.write_all(&lines)?;
    out.flush()
}

/// Writes the products of a shop in a foreign format; they are made twice, first for their columns.
pub(in crate::cli) fn export(
    sample: &Shop,
    format: Written,
    out: &mut impl Write,
    bar: &ProgressBar,
) -> io::Result<()> {
    let products = || {
        shop(sample).filter_map(|operation| match operation {
            FeedOperation::ReplaceProduct(product) => Some(product),
            _ => None,
        })
    };
    let mut export = Export::new(format, sample.currency, []);
    products().for_each(|product| export.count(&product));
    let mut text = String::with_capacity(2 * PIECE_BYTES);
    export.head(&mut text);
    for product in products() {
        export.product(&product, &mut text);
        bar.inc(product.variants.len() as u64);
        if PIECE_BYTES <= text.len() {
            out.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    export.foot(&mut text);
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn progress(n_variants: u64) -> ProgressBar {
    if !draws_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(n_variants);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} variants");
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_is_a_line_for_each_category_and_product() {
        let sample = Shop::new(500, 7);
        let mut feed = Vec::new();
        stream(&sample, &mut feed, &ProgressBar::hidden()).unwrap();
        let feed = String::from_utf8(feed).unwrap();
        let (mut n_categories, mut n_variants) = (0, 0);
        for line in feed.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["op"], "replace");
            n_categories += usize::from(line["category"].is_string());
            n_variants += line["variants"].as_object().map_or(0, serde_json::Map::len);
        }
        assert_eq!(n_variants, 500);
        assert!(0 < n_categories);
        let mut again = Vec::new();
        stream(&sample, &mut again, &ProgressBar::hidden()).unwrap();
        assert_eq!(feed.into_bytes(), again);
    }

    #[test]
    fn a_reader_who_leaves_is_told_to_the_caller() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let said = stream(&Shop::new(10, 1), &mut Gone, &ProgressBar::hidden());
        assert_eq!(said.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
