//! The responses that handlers have in common. Each type is a name for a set of responses; it has no values.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use schemars::JsonSchema;
use utoipa::IntoResponses;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder};
use web::interface::header::{REPR_DIGEST, STORED_AT, SUBJECT};
use web::interface::media;

type Responses = BTreeMap<String, RefOr<Response>>;

/// One message, or none.
pub(crate) struct OneMessage;

/// A sequence of messages.
pub(crate) struct Messages;

/// A compare-and-set write.
pub(crate) struct Published;

/// A write to a resource that accepts one message.
pub(crate) struct Filed;

/// A write without a condition.
pub(crate) struct Written;

/// Success without a body.
pub(crate) struct Done;

/// A JSON body.
pub(crate) struct Json<T>(PhantomData<T>);

fn response(description: &str, headers: &[&str]) -> ResponseBuilder {
    let response = ResponseBuilder::new().description(description);
    headers.iter().fold(response, |response, name| {
        response.header(*name, HeaderBuilder::new().build())
    })
}

fn set<const N: usize>(responses: [(&str, ResponseBuilder); N]) -> Responses {
    let entry = |(status, response): (&str, ResponseBuilder)| (status.to_owned(), RefOr::T(response.build()));
    responses.into_iter().map(entry).collect()
}

impl IntoResponses for OneMessage {
    fn responses() -> Responses {
        let message = response(
            "The envelope as published. ETag is its sequence.",
            &["ETag", SUBJECT, STORED_AT, REPR_DIGEST],
        );
        set([
            (
                "200",
                message.content(media::MESSAGE, ContentBuilder::new().build()),
            ),
            ("204", response("There is no message; ETag is \"0\".", &["ETag"])),
            (
                "304",
                response("The message is the one that If-None-Match names.", &["ETag"]),
            ),
        ])
    }
}

impl IntoResponses for Messages {
    fn responses() -> Responses {
        let messages = response(
            "MessagePack records: messages, and one end record. A body without the end record was cut off.",
            &[],
        );
        set([(
            "200",
            messages.content(media::MESSAGES, ContentBuilder::new().build()),
        )])
    }
}

impl IntoResponses for Published {
    fn responses() -> Responses {
        set([
            ("204", response("Stored. ETag is the new sequence.", &["ETag"])),
            (
                "412",
                response(
                    "Another writer was first. ETag is the current sequence.",
                    &["ETag"],
                ),
            ),
            ("428", response("If-Match is missing.", &[])),
        ])
    }
}

impl IntoResponses for Filed {
    fn responses() -> Responses {
        set([
            ("201", response("Stored. ETag is its sequence.", &["ETag"])),
            (
                "412",
                response(
                    "The resource already has its message. ETag is its sequence.",
                    &["ETag"],
                ),
            ),
            ("428", response("If-None-Match is missing.", &[])),
        ])
    }
}

impl IntoResponses for Written {
    fn responses() -> Responses {
        set([("204", response("Stored. ETag is the new sequence.", &["ETag"]))])
    }
}

impl IntoResponses for Done {
    fn responses() -> Responses {
        set([("204", response("Done.", &[]))])
    }
}

impl<T: JsonSchema> IntoResponses for Json<T> {
    fn responses() -> Responses {
        let schema = Ref::from_schema_name(T::schema_name());
        let content = ContentBuilder::new().schema(Some(schema)).build();
        set([("200", response("JSON.", &[]).content(media::JSON, content))])
    }
}
