use super::*;

fn every_reason() -> impl Iterator<Item = ErrorReason> {
    (1..200).filter_map(|number| ErrorReason::try_from(number).ok())
}

#[test]
fn every_reason_travels_and_comes_back() {
    let mut seen = 0;
    for reason in every_reason() {
        let status = Status::from(Failure::new(reason, "a sentence"));
        assert_eq!(reason_of(&status), Some(reason));
        assert_ne!(status.code(), Code::Ok);
        let wire = reason.as_str_name().strip_prefix(PREFIX).unwrap();
        assert!(wire.len() <= 63, "{wire} is longer than AIP-193 allows");
        seen += 1;
    }
    assert!(seen > 30);
}

#[test]
fn the_proto_comment_of_each_reason_names_its_code() {
    let proto = include_str!("../../../../proto/ailayer/common/v1/errors.proto");
    for reason in every_reason() {
        let line = proto.find(&format!("  {} = ", reason.as_str_name())).unwrap();
        let comment_start = proto[..line].rfind("\n  ERROR_REASON_").unwrap_or(0);
        let comment = proto[comment_start..line].to_owned();
        let canonical = format!("{:?}", code(reason));
        let mut screaming = String::new();
        for (i, letter) in canonical.chars().enumerate() {
            if letter.is_uppercase() && i > 0 {
                screaming.push('_');
            }
            screaming.push(letter.to_ascii_uppercase());
        }
        assert!(comment.contains(&format!("{screaming}.")), "{reason:?} should say {screaming}: {comment}");
    }
}

#[test]
fn retries_are_promised_only_where_they_help() {
    let overloaded = Status::from(Failure::new(ErrorReason::Overloaded, "later"));
    assert_eq!(retry_after(&overloaded), Some(DEFAULT_RETRY));
    let wrong = Status::from(Failure::invalid_field("texts", "empty"));
    assert_eq!(retry_after(&wrong), None);
    assert_eq!(violated_field(&wrong).as_deref(), Some("texts"));
}

#[test]
fn the_cause_stays_inside() {
    let status = Status::from(Failure::internal("password=hunter2 refused"));
    assert!(!format!("{status:?}").contains("hunter2"));
}
