//! Looking around in the goods.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::Uri;
use hyper::header::ETAG;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::merchandiser::promotion::{SelectionBody, read_selection};
use crate::api::wire::change::{Asked, seen};
use crate::api::wire::fields::Fields;
use crate::api::wire::list::{List, Listing, Window, WindowParams};
use crate::api::wire::{answer, path, query, scalar};
use crate::catalogue::attribute::{Level, is_built_in};
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::value::ValueType;
use crate::engine::browse::{
    AttributeView, CategoryFilter, CategoryView, Listed, Related, Show, ValueView, VariantView,
    texts_of,
};
use crate::engine::commit::Written;
use crate::engine::error::EngineError;
use crate::engine::markets::AttributeEdit;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, IfMatch, Json, Query, entity_tag};
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// A category.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryBody {
    /// `tree:key`.
    #[schema(examples("main:jackets"))]
    category: String,
    /// None for a placeholder.
    #[schema(required = true)]
    name: Option<String>,
    /// Categories right above it.
    parents: Vec<String>,
    /// How many lie right below it.
    children_count: usize,
    /// Variants in it and below.
    variants_count: u32,
    /// Of them, those of the promotion or selection asked about.
    #[schema(required = true)]
    related: Option<u32>,
    /// Named somewhere but defined nowhere.
    placeholder: bool,
}

/// An attribute.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the wire has one flag for each question"
)]
pub struct AttributeBody {
    attr: String,
    /// `text`, `number`, `money`, `flag` or `time`.
    r#type: &'static str,
    /// `product` or `variant`.
    level: &'static str,
    /// Whether a variant may have several values.
    multi: bool,
    /// Whether pages offer it as a facet.
    facet: bool,
    /// Whether text queries look into it.
    search: bool,
    /// Distinct values.
    values_count: usize,
    /// Whether it is part of every market; then type, level and multi are fixed.
    built_in: bool,
}

/// What shall be different about an attribute.
#[derive(Debug, ToSchema)]
pub struct AttributePatch {
    /// `text`, `number`, `money`, `flag` or `time`. Values that do not fit count as missing.
    pub r#type: Option<String>,
    /// `product` or `variant`.
    pub level: Option<String>,
    /// Whether a variant may have several values.
    pub multi: Option<bool>,
    /// Whether pages offer it as a facet.
    pub facet: Option<bool>,
    /// Whether text queries look into it.
    pub search: Option<bool>,
}

/// A value of an attribute.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValueBody {
    value: String,
    /// Variants that have it.
    count: u32,
}

/// A variant with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct VariantBody {
    variant: String,
    product: String,
    #[schema(required = true)]
    product_group: Option<String>,
    #[schema(required = true)]
    seller: Option<String>,
    /// Categories it is put into; those above them are not repeated.
    categories: Vec<String>,
    #[schema(required = true)]
    list_price: Option<String>,
    #[schema(required = true)]
    sale_price: Option<String>,
    /// Only for those who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<String>,
    #[schema(required = true)]
    stock: Option<i64>,
    in_stock: bool,
    #[schema(required = true)]
    weight_g: Option<u32>,
    /// Values by attribute that is not built in; a variant's own ones stand before its product's.
    attributes: BTreeMap<String, Vec<String>>,
    #[schema(required = true)]
    score: Option<String>,
    /// Place by score alone, from 0.
    #[schema(required = true)]
    base_rank: Option<u32>,
    /// Active promotions that hold it.
    promotions: Vec<HolderBody>,
}

/// A promotion that holds a variant.
#[derive(Debug, Serialize, ToSchema)]
pub struct HolderBody {
    promotion: String,
    name: String,
    kind: &'static str,
    /// `high`, `medium`, `low` or `demoted`.
    level: &'static str,
}

/// Which categories to list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CategoryParams {
    /// Only of this tree.
    pub tree: Option<String>,
    /// Only those right below this one.
    pub parent: Option<String>,
    /// Only those whose id or name holds this text.
    pub q: Option<String>,
    /// Only those that hold a variant of this promotion, with how many.
    pub related_to: Option<String>,
    /// `related`, the default; or `all`: with `related_to` those that hold none as well.
    pub show: Option<String>,
}

/// A selection that is not stored.
#[derive(Debug, ToSchema)]
pub struct RelatedBody {
    /// As a promotion has it.
    pub selection: SelectionBody,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    let categories = OpenApiRouter::new()
        .routes(routes!(list_categories, list_related))
        .route_layer(Route::desk().unlimited());
    OpenApiRouter::new()
        .routes(routes!(list_attributes))
        .routes(routes!(change_attribute))
        .routes(routes!(list_values))
        .routes(routes!(list_variants))
        .routes(routes!(read_variant))
        .route_layer(Route::desk())
        .merge(categories)
}

/// List categories
///
/// By id.
#[utoipa::path(
    get, path = "/v1/markets/{market}/categories", tag = "merchandiser",
    params(("market" = String, Path, description = "Key of the market"), CategoryParams, WindowParams),
    responses((status = 200, description = "A page of categories", body = Listing<CategoryBody>)),
    extensions(("x-problems" = json!(["bad-cursor", "not-found"]))),
)]
async fn list_categories(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let market = path::market(&market)?;
    let (window, filter) = query::read(&members, read_category_filter)?;
    let list = List::new(&engine, &uri, &members);
    let filter = CategoryFilter {
        after: list.after(&window)?,
        limit: window.limit,
        ..filter
    };
    categories(&engine, &caller, &market, (list, filter)).await
}

/// List categories of an unsaved selection
///
/// Those that hold a variant of it, with how many; with `show=all` the others as well.
#[utoipa::path(
    post, path = "/v1/markets/{market}/categories", tag = "merchandiser",
    params(("market" = String, Path, description = "Key of the market"), CategoryParams, WindowParams),
    request_body = RelatedBody,
    responses((status = 200, description = "A page of categories", body = Listing<CategoryBody>)),
    extensions(("x-problems" = json!(["bad-cursor", "not-found"]))),
)]
async fn list_related(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    uri: Uri,
    (members, body): (Query, Json),
) -> Result<Response, Problem> {
    let market = path::market(&market)?;
    let (window, filter) = query::read(&members, read_category_filter)?;
    let (draft, faults) = Fields::gather(&body.0, |fields| {
        if fields.has("selection") {
            fields.inside("selection", read_selection)
        } else {
            fields.complain("selection", Fault::Required);
            None
        }
    });
    if !faults.is_empty() {
        return Err(Problem::invalid(&faults));
    }
    let list = List::new(&engine, &uri, &members);
    let filter = CategoryFilter {
        related_to: Some(Related::Selection(Box::new(draft.unwrap_or_default()))),
        after: list.after(&window)?,
        limit: window.limit,
        ..filter
    };
    categories(&engine, &caller, &market, (list, filter)).await
}

async fn categories(
    engine: &Engine,
    caller: &Caller,
    market: &MarketId,
    (list, filter): (List<'_>, CategoryFilter),
) -> Result<Response, Problem> {
    let page = engine.categories(&caller.principal, market, filter).await?;
    let next = page.last_if_more().map(|last| list.cursor(&last.id));
    Ok(list.answer(page.items.into_iter().map(CategoryBody::of).collect(), next))
}

/// List attributes
///
/// By name. The answer's `ETag` is what a change of an attribute takes as `If-Match`.
#[utoipa::path(
    get, path = "/v1/markets/{market}/attributes", tag = "merchandiser",
    params(("market" = String, Path, description = "Key of the market"), WindowParams),
    responses((status = 200, description = "A page of attributes", body = Listing<AttributeBody>)),
    extensions(("x-problems" = json!(["bad-cursor"]))),
)]
async fn list_attributes(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let market = path::market(&market)?;
    let window = query::read(&members, Window::read)?;
    let list = List::new(&engine, &uri, &members);
    let after = list.after(&window)?;
    let state = engine.market(&caller.principal, &market)?;
    let all = engine.attributes(&caller.principal, &market)?;
    let is_behind = |own: &AttributeView| after.as_ref().is_none_or(|after| *after < own.attr);
    let page = window.cut(all.into_iter().filter(is_behind));
    let next = page.last_if_more().map(|last| list.cursor(&last.attr));
    let items = page.items.into_iter().map(AttributeBody::of).collect();
    let tag = [(ETAG, entity_tag(state.market.revision.0))];
    Ok((tag, list.answer(items, next)).into_response())
}

/// Declare an attribute
///
/// How it is to be read from now on; `If-Match` is the `ETag` of the list. Type, level and multi of
/// built-in attributes are fixed.
#[utoipa::path(
    patch, path = "/v1/markets/{market}/attributes/{attribute}", tag = "merchandiser",
    params(
        ("market" = String, Path, description = "Key of the market"),
        ("attribute" = String, Path, description = "Its name"),
    ),
    request_body(content = AttributePatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The attribute", body = AttributeBody)),
    extensions(("x-problems" = json!(["not-found", "precondition-required", "stale-revision"]))),
)]
async fn change_attribute(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path((market, attribute)): Path<(String, String)>,
    if_match: IfMatch,
    Json(body): Json,
) -> Result<Response, Problem> {
    let (market, attr) = (path::market(&market)?, path::attribute(&attribute)?);
    let known = seen(if_match)?;
    let (edit, faults) = Fields::gather(&body, read_attribute_edit);
    let edit = AttributeEdit { faults, ..edit };
    let written = engine
        .edit_attribute(&intent, &market, &attr, known, &edit)
        .await?;
    let all = engine.attributes(&intent.principal, &market)?;
    let own = all.into_iter().find(|own| own.attr == attr.as_str());
    let own = own.ok_or_else(|| Problem::not_found("attribute"))?;
    let body = answer::ok(&AttributeBody::of(own));
    let (Written::Now(_, revision) | Written::Replayed(_, revision)) = &written;
    let tagged = ([(ETAG, entity_tag(revision.0))], body).into_response();
    Ok(match written {
        Written::Now(..) => tagged,
        Written::Replayed(..) => answer::marked_replayed(tagged),
    })
}

/// List values of an attribute
///
/// Most frequent first.
#[utoipa::path(
    get, path = "/v1/markets/{market}/attributes/{attribute}/values", tag = "merchandiser",
    params(
        ("market" = String, Path, description = "Key of the market"),
        ("attribute" = String, Path, description = "Its name"),
        ("q" = Option<String>, Query, description = "Only values that hold this text"),
        WindowParams,
    ),
    responses((status = 200, description = "A page of values", body = Listing<ValueBody>)),
    extensions(("x-problems" = json!(["bad-cursor", "not-found"]))),
)]
async fn list_values(
    State(engine): State<Engine>,
    caller: Caller,
    Path((market, attribute)): Path<(String, String)>,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let (market, attr) = (path::market(&market)?, path::attribute(&attribute)?);
    let (window, q) = query::read(&members, |fields| {
        (Window::read(fields), fields.scalar("q", scalar::owned))
    })?;
    let list = List::new(&engine, &uri, &members);
    let skipped = list.skipped(&window)?;
    let wanted = skipped + window.limit;
    let page = engine
        .attribute_values(&caller.principal, &market, &attr, q, wanted)
        .await?;
    let next = page.has_more.then(|| list.cursor(&wanted.to_string()));
    let items = page.items.into_iter().skip(skipped);
    Ok(list.answer(items.map(ValueBody::of).collect(), next))
}

/// List variants
///
/// `q` finds by key, title and the market's search attributes, best matches first; without it all
/// come in base order. `key` names one, also where it holds a slash.
#[utoipa::path(
    get, path = "/v1/markets/{market}/variants", tag = "merchandiser",
    params(
        ("market" = String, Path, description = "Key of the market"),
        ("q" = Option<String>, Query, description = "Text match"),
        ("key" = Option<String>, Query, description = "Key of one variant"),
        WindowParams,
    ),
    responses((status = 200, description = "A page of variants", body = Listing<VariantBody>)),
    extensions(("x-problems" = json!(["bad-cursor"]))),
)]
async fn list_variants(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let market = path::market(&market)?;
    let (window, q, key) = query::read(&members, |fields| {
        let texts = ["q", "key"].map(|name| fields.scalar(name, scalar::owned));
        let [q, key] = texts;
        (Window::read(fields), q, key)
    })?;
    let list = List::new(&engine, &uri, &members);
    let skipped = list.skipped(&window)?;
    let found = if let Some(key) = key {
        one(engine.variant(&caller.principal, &market, &key))?
    } else {
        let part = (skipped, window.limit);
        engine
            .find_variants(&caller.principal, &market, q, part)
            .await?
    };
    let next = found
        .has_more
        .then(|| list.cursor(&(skipped + window.limit).to_string()));
    let sees_cost = caller.principal.may_see_cost().is_ok();
    let items = found
        .items
        .iter()
        .map(|view| VariantBody::of(view, sees_cost));
    Ok(list.answer(items.collect(), next))
}

/// Read a variant
#[utoipa::path(
    get, path = "/v1/markets/{market}/variants/{variant}", tag = "merchandiser",
    params(
        ("market" = String, Path, description = "Key of the market"),
        ("variant" = String, Path, description = "Its key; one with a slash goes into `?key=`"),
    ),
    responses((status = 200, description = "The variant", body = VariantBody)),
    extensions(("x-problems" = json!(["not-found"]))),
)]
async fn read_variant(
    State(engine): State<Engine>,
    caller: Caller,
    Path((market, variant)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let view = engine.variant(&caller.principal, &path::market(&market)?, &variant)?;
    Ok(answer::ok(&VariantBody::of(
        &view,
        caller.principal.may_see_cost().is_ok(),
    )))
}

/// A list of the one that was found, or of none.
fn one(found: Result<VariantView, EngineError>) -> Result<Listed<VariantView>, EngineError> {
    let items = match found {
        Ok(view) => vec![view],
        Err(EngineError::NotFound { .. }) => Vec::new(),
        Err(refused) => return Err(refused),
    };
    Ok(Listed {
        items,
        has_more: false,
    })
}

fn read_category_filter(fields: &mut Fields<'_>) -> (Window, CategoryFilter) {
    let parent = fields.scalar("parent", scalar::parsed(CategoryId::parse));
    let filter = CategoryFilter {
        tree: fields.scalar("tree", scalar::owned),
        parent: parent.map(|id| id.to_string()),
        q: fields.scalar("q", scalar::owned),
        related_to: fields
            .scalar("related_to", scalar::parsed(PromotionId::parse))
            .map(Related::Promotion),
        show: fields
            .scalar("show", scalar::parsed(read_show))
            .unwrap_or_default(),
        ..CategoryFilter::default()
    };
    (Window::read(fields), filter)
}

fn read_show(text: &str) -> Result<Show, Fault> {
    match text {
        "related" => Ok(Show::Related),
        "all" => Ok(Show::All),
        _ => Err(Fault::unknown_value(text, &["related", "all"])),
    }
}

fn read_attribute_edit(fields: &mut Fields<'_>) -> AttributeEdit {
    fields.read_only(&["attr", "values_count", "built_in"]);
    AttributeEdit {
        kind: fields.scalar("type", scalar::parsed(ValueType::parse)),
        level: fields.scalar("level", scalar::parsed(Level::parse)),
        multi: fields.scalar("multi", scalar::flag),
        facet: fields.scalar("facet", scalar::flag),
        search: fields.scalar("search", scalar::flag),
        faults: Vec::new(),
    }
}

impl CategoryBody {
    fn of(view: CategoryView) -> Self {
        Self {
            category: view.id,
            name: view.name,
            parents: view.parents,
            children_count: view.n_children,
            variants_count: view.n_variants,
            related: view.related,
            placeholder: view.is_placeholder,
        }
    }
}

impl AttributeBody {
    fn of(view: AttributeView) -> Self {
        let declaration = view.declaration;
        Self {
            r#type: declaration.kind.as_str(),
            level: declaration.level.as_str(),
            multi: declaration.multi,
            facet: declaration.facet,
            search: declaration.search,
            values_count: view.n_values,
            built_in: is_built_in(&view.attr),
            attr: view.attr,
        }
    }
}

impl ValueBody {
    fn of(view: ValueView) -> Self {
        Self {
            value: view.value,
            count: view.count,
        }
    }
}

impl VariantBody {
    fn of(view: &VariantView, sees_cost: bool) -> Self {
        let catalogue = &view.state.catalogue;
        let currency = catalogue.locale().currency;
        let variant = catalogue.variant_record(view.row);
        let product = catalogue.record(catalogue.product_of(view.row));
        let money = |amount: Option<_>| amount.map(|minor| currency.format(minor));
        let attrs = catalogue.schema().declared().keys();
        let texts = attrs.map(|attr| (attr.to_string(), texts_of(view, attr.as_str())));
        Self {
            variant: variant.key.to_string(),
            product: product.key.to_string(),
            product_group: product.group.as_ref().map(ToString::to_string),
            seller: product.seller.as_ref().map(ToString::to_string),
            categories: product.categories.iter().map(ToString::to_string).collect(),
            list_price: money(variant.list_price),
            sale_price: money(variant.sale_price),
            cost: money(variant.cost).filter(|_| sees_cost),
            stock: variant.stock,
            in_stock: variant.in_stock(),
            weight_g: variant.weight_g,
            attributes: texts.filter(|(_, values)| !values.is_empty()).collect(),
            score: catalogue.score(view.row).map(|score| score.to_string()),
            base_rank: view.base_rank,
            promotions: view
                .promotions
                .iter()
                .map(|held| HolderBody::of(&held.value))
                .collect(),
        }
    }
}

impl HolderBody {
    fn of(promotion: &crate::promotion::terms::Promotion) -> Self {
        Self {
            promotion: promotion.id.to_string(),
            name: promotion.name.clone(),
            kind: promotion.kind.as_str(),
            level: promotion.level.as_str(),
        }
    }
}
