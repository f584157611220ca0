//! The words a shop is made of: kinds of goods, colours, sizes, materials, brands.

/// Which sizes a kind of goods comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generator) enum Sizing {
    /// XXS to 3XL.
    Letters,
    /// 36 to 47.
    Shoes,
    /// 80 to 170.
    Children,
    /// One size; variants differ by colour.
    One,
}

impl Sizing {
    /// Its sizes in order; none for goods of one size.
    pub(in crate::generator) fn sizes(self) -> &'static [&'static str] {
        match self {
            Self::Letters => &["XXS", "XS", "S", "M", "L", "XL", "XXL", "3XL"],
            Self::Shoes => &[
                "36", "37", "38", "39", "40", "41", "42", "43", "44", "45", "46", "47",
            ],
            Self::Children => &[
                "80", "90", "100", "110", "120", "130", "140", "150", "160", "170",
            ],
            Self::One => &[],
        }
    }
}

/// A department: a category at the top of the tree.
pub(in crate::generator) struct Department {
    pub(in crate::generator) name: &'static str,
    pub(in crate::generator) sizing: Sizing,
    /// What its goods are made of.
    pub(in crate::generator) materials: &'static [&'static str],
    /// Its kinds of goods, one category each.
    pub(in crate::generator) kinds: [Kind; 8],
}

/// A kind of goods: a category below a department.
pub(in crate::generator) struct Kind {
    pub(in crate::generator) name: &'static str,
    /// One of them.
    pub(in crate::generator) one: &'static str,
    /// Median list price in Swedish kronor.
    pub(in crate::generator) price: u64,
    /// Median weight in grams.
    pub(in crate::generator) weight_g: u64,
}

const fn kind(name: &'static str, one: &'static str, price: u64, weight_g: u64) -> Kind {
    Kind {
        name,
        one,
        price,
        weight_g,
    }
}

/// Departments, those of small shops first.
pub(in crate::generator) const DEPARTMENTS: [Department; 12] = [
    Department {
        name: "Outerwear",
        sizing: Sizing::Letters,
        materials: &["wool", "down", "cotton", "recycled nylon", "waxed cotton"],
        kinds: [
            kind("Jackets", "jacket", 899, 700),
            kind("Coats", "coat", 1_499, 1_200),
            kind("Parkas", "parka", 1_799, 1_400),
            kind("Rainwear", "rain jacket", 699, 500),
            kind("Vests", "vest", 499, 350),
            kind("Fleece", "fleece", 449, 400),
            kind("Anoraks", "anorak", 799, 450),
            kind("Ponchos", "poncho", 399, 500),
        ],
    },
    Department {
        name: "Shoes",
        sizing: Sizing::Shoes,
        materials: &["leather", "suede", "canvas", "cork", "mesh"],
        kinds: [
            kind("Sandals", "sandals", 499, 450),
            kind("Sneakers", "sneakers", 799, 700),
            kind("Boots", "boots", 1_299, 1_300),
            kind("Loafers", "loafers", 899, 650),
            kind("Slippers", "slippers", 299, 300),
            kind("Running shoes", "running shoes", 1_199, 550),
            kind("Clogs", "clogs", 599, 600),
            kind("Pumps", "pumps", 699, 500),
        ],
    },
    Department {
        name: "Tops",
        sizing: Sizing::Letters,
        materials: &["cotton", "linen", "merino wool", "viscose", "silk"],
        kinds: [
            kind("T-shirts", "T-shirt", 199, 160),
            kind("Shirts", "shirt", 399, 230),
            kind("Sweaters", "sweater", 599, 420),
            kind("Blouses", "blouse", 349, 180),
            kind("Cardigans", "cardigan", 549, 400),
            kind("Hoodies", "hoodie", 499, 550),
            kind("Polo shirts", "polo shirt", 349, 220),
            kind("Tunics", "tunic", 399, 250),
        ],
    },
    Department {
        name: "Home",
        sizing: Sizing::One,
        materials: &["cotton", "linen", "wool", "jute", "velvet"],
        kinds: [
            kind("Blankets", "blanket", 499, 1_100),
            kind("Cushions", "cushion", 249, 500),
            kind("Towels", "towel", 149, 450),
            kind("Bed linen", "duvet cover", 599, 1_300),
            kind("Curtains", "curtain", 399, 900),
            kind("Rugs", "rug", 1_299, 4_500),
            kind("Tablecloths", "tablecloth", 299, 600),
            kind("Bath mats", "bath mat", 199, 700),
        ],
    },
    Department {
        name: "Trousers",
        sizing: Sizing::Letters,
        materials: &["denim", "cotton", "linen", "corduroy", "wool"],
        kinds: [
            kind("Jeans", "jeans", 699, 650),
            kind("Chinos", "chinos", 549, 500),
            kind("Shorts", "shorts", 349, 280),
            kind("Leggings", "leggings", 249, 220),
            kind("Joggers", "joggers", 399, 420),
            kind("Skirts", "skirt", 399, 300),
            kind("Dungarees", "dungarees", 799, 800),
            kind("Culottes", "culottes", 499, 380),
        ],
    },
    Department {
        name: "Dresses",
        sizing: Sizing::Letters,
        materials: &["cotton", "linen", "viscose", "silk", "merino wool"],
        kinds: [
            kind("Day dresses", "day dress", 499, 300),
            kind("Party dresses", "party dress", 899, 400),
            kind("Maxi dresses", "maxi dress", 699, 420),
            kind("Mini dresses", "mini dress", 449, 260),
            kind("Wrap dresses", "wrap dress", 599, 330),
            kind("Shirt dresses", "shirt dress", 549, 320),
            kind("Knit dresses", "knit dress", 649, 480),
            kind("Pinafores", "pinafore", 499, 380),
        ],
    },
    Department {
        name: "Accessories",
        sizing: Sizing::One,
        materials: &["wool", "cotton", "leather", "cashmere", "silk"],
        kinds: [
            kind("Scarves", "scarf", 299, 180),
            kind("Gloves", "gloves", 249, 120),
            kind("Hats", "hat", 199, 110),
            kind("Belts", "belt", 349, 240),
            kind("Socks", "socks", 79, 60),
            kind("Headbands", "headband", 129, 50),
            kind("Ties", "tie", 299, 70),
            kind("Mittens", "mittens", 229, 130),
        ],
    },
    Department {
        name: "Bags",
        sizing: Sizing::One,
        materials: &[
            "leather",
            "canvas",
            "recycled nylon",
            "suede",
            "waxed cotton",
        ],
        kinds: [
            kind("Backpacks", "backpack", 799, 900),
            kind("Handbags", "handbag", 1_199, 800),
            kind("Totes", "tote", 499, 450),
            kind("Wallets", "wallet", 399, 120),
            kind("Weekend bags", "weekend bag", 1_299, 1_300),
            kind("Belt bags", "belt bag", 349, 250),
            kind("Laptop bags", "laptop bag", 699, 750),
            kind("Shoulder bags", "shoulder bag", 899, 650),
        ],
    },
    Department {
        name: "Children",
        sizing: Sizing::Children,
        materials: &[
            "cotton",
            "merino wool",
            "fleece",
            "recycled polyester",
            "linen",
        ],
        kinds: [
            kind("Overalls", "overall", 699, 650),
            kind("Bodysuits", "bodysuit", 129, 100),
            kind("Pyjamas", "pyjamas", 249, 250),
            kind("Play trousers", "play trousers", 299, 280),
            kind("Rompers", "romper", 349, 240),
            kind("Shell jackets", "shell jacket", 599, 450),
            kind("Raincoats", "raincoat", 399, 380),
            kind("Bathing suits", "bathing suit", 199, 110),
        ],
    },
    Department {
        name: "Sport",
        sizing: Sizing::Letters,
        materials: &[
            "recycled polyester",
            "merino wool",
            "stretch nylon",
            "bamboo",
            "fleece",
        ],
        kinds: [
            kind("Training tops", "training top", 299, 150),
            kind("Running tights", "running tights", 499, 230),
            kind("Cycling jerseys", "cycling jersey", 699, 200),
            kind("Ski jackets", "ski jacket", 2_499, 950),
            kind("Sports bras", "sports bra", 349, 120),
            kind("Swimwear", "swimsuit", 399, 150),
            kind("Base layers", "base layer", 549, 200),
            kind("Track suits", "track suit", 799, 700),
        ],
    },
    Department {
        name: "Kitchen",
        sizing: Sizing::One,
        materials: &["steel", "cast iron", "stoneware", "oak", "enamel"],
        kinds: [
            kind("Pans", "pan", 599, 1_500),
            kind("Woks", "wok", 499, 1_400),
            kind("Pots", "pot", 699, 2_200),
            kind("Mugs", "mug", 99, 350),
            kind("Plates", "plate", 129, 550),
            kind("Bowls", "bowl", 149, 500),
            kind("Teapots", "teapot", 449, 900),
            kind("Trays", "tray", 249, 800),
        ],
    },
    Department {
        name: "Outdoor",
        sizing: Sizing::One,
        materials: &["ripstop nylon", "aluminium", "steel", "canvas", "polyester"],
        kinds: [
            kind("Tents", "tent", 2_999, 3_200),
            kind("Sleeping bags", "sleeping bag", 1_499, 1_200),
            kind("Sleeping mats", "sleeping mat", 899, 600),
            kind("Stoves", "camping stove", 799, 400),
            kind("Bottles", "water bottle", 199, 250),
            kind("Hammocks", "hammock", 499, 500),
            kind("Tarps", "tarp", 699, 800),
            kind("Dry bags", "dry bag", 249, 150),
        ],
    },
];

/// Third storey of the tree: for what a kind of goods is meant.
pub(in crate::generator) const PURPOSES: [&str; 6] = [
    "Everyday", "Travel", "Work", "Weekend", "Festive", "Premium",
];

/// Fourth storey: lines within a purpose.
pub(in crate::generator) const LINES: [&str; 5] =
    ["Basics", "Classics", "Studio", "Heritage", "Limited"];

/// What a title begins with.
pub(in crate::generator) const QUALITIES: [&str; 36] = [
    "Airy", "Bold", "Brushed", "Calm", "Casual", "Classic", "Clean", "Compact", "Cosy", "Crisp",
    "Durable", "Easy", "Elegant", "Fine", "Flowing", "Gentle", "Handmade", "Light", "Lined",
    "Loose", "Minimal", "Neat", "Padded", "Plain", "Quilted", "Relaxed", "Ribbed", "Rugged",
    "Simple", "Sleek", "Slim", "Smart", "Soft", "Striped", "Sturdy", "Warm",
];

/// Colours, the most frequent first.
pub(in crate::generator) const COLOURS: [&str; 24] = [
    "black",
    "white",
    "navy",
    "grey",
    "blue",
    "beige",
    "green",
    "red",
    "brown",
    "pink",
    "olive",
    "burgundy",
    "cream",
    "yellow",
    "sand",
    "turquoise",
    "purple",
    "orange",
    "rust",
    "mint",
    "lilac",
    "charcoal",
    "gold",
    "silver",
];

/// Seasons in the order of the year, the whole year last.
pub(in crate::generator) const SEASONS: [&str; 5] =
    ["spring", "summer", "autumn", "winter", "all year"];

/// Sellers on a marketplace beside the shop itself.
pub(in crate::generator) const SELLERS: [&str; 12] = [
    "alvik", "brodd", "dunge", "ekby", "fjord", "granit", "hamnen", "kajen", "lunden", "myren",
    "norrsken", "torget",
];

/// Beginnings of brand names.
const BRAND_BEGINNINGS: [&str; 50] = [
    "Nord", "Vel", "Fjor", "Sol", "Berg", "Lind", "Alm", "Hav", "Skog", "Stor", "Ask", "Birk",
    "Dal", "Ek", "Fal", "Gran", "Holm", "Is", "Jor", "Kal", "Lar", "Mar", "Ner", "Ost", "Palm",
    "Quin", "Ros", "Sund", "Tal", "Ul", "Vind", "Wil", "Yt", "Zel", "Bor", "Cal", "Del", "Em",
    "Fen", "Gil", "Har", "Kor", "Lum", "Mon", "Nov", "Or", "Pel", "Ras", "Sil", "Tor",
];

/// Ends of brand names.
const BRAND_ENDS: [&str; 40] = [
    "vik", "a", "en", "dahl", "mark", "sson", "ia", "berg", "lund", "o", "ström", "wik", "holt",
    "ella", "ane", "by", "gård", "is", "land", "mo", "nes", "ona", "rup", "sen", "ten", "um",
    "ver", "wood", "ax", "ert", "feld", "gate", "hem", "ik", "kind", "ley", "mer", "nor", "ques",
    "ridge",
];

/// Most brands there are names for.
pub(in crate::generator) const BRANDS_MAX: usize = BRAND_BEGINNINGS.len() * BRAND_ENDS.len();

/// Name of a brand, from 0; all are different, and neighbours have nothing in common.
pub(in crate::generator) fn brand(number: usize) -> String {
    let (round, beginning) = (
        number / BRAND_BEGINNINGS.len(),
        number % BRAND_BEGINNINGS.len(),
    );
    let end = (round + beginning) % BRAND_ENDS.len();
    format!("{}{}", BRAND_BEGINNINGS[beginning], BRAND_ENDS[end])
}

/// A name as it stands in category ids: lower case, hyphens for blanks.
pub(in crate::generator) fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn brands_have_names_of_their_own() {
        let names: BTreeSet<String> = (0..BRANDS_MAX).map(brand).collect();
        assert_eq!(names.len(), 2_000);
    }

    #[test]
    fn kinds_have_names_of_their_own() {
        let kinds = DEPARTMENTS.iter().flat_map(|department| &department.kinds);
        let names: BTreeSet<_> = kinds.map(|kind| kind.name).collect();
        assert_eq!(names.len(), 96);
        let sizes: usize = [Sizing::Letters, Sizing::Shoes, Sizing::Children]
            .map(|sizing| sizing.sizes().len())
            .iter()
            .sum();
        assert_eq!((sizes, COLOURS.len()), (30, 24));
    }
}
