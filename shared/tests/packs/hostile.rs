//! Items that are not signed, or not what they say, give no value.

use super::*;

#[test]
fn nothing_is_used_that_is_not_signed_for_this_place_by_a_trusted_key() {
    let here = tree(3);
    let store = MemoryStorage::new();
    open(here.path(), &store).run(report);
    take_ran();
    let engine = MemoryEngine::new();
    share(&engine, &store);
    let refused =
        |engine: &MemoryEngine, trust: &Trust| match try_take(engine, trust, Arc::new(MemoryStorage::new()))
            .unwrap_err()
        {
            ShareError::NoRef { rejected, .. } => rejected,
            other => panic!("{other}"),
        };
    let trust = Trust::none().key(key().public());
    let stranger = SigningKey::parse(&format!("ci-1:{}", "08".repeat(32))).unwrap();
    assert_eq!(refused(&engine, &Trust::none()), Some(Rejection::Untrusted));
    assert_eq!(refused(&engine, &Trust::none().key(stranger.public())), Some(Rejection::Untrusted));
    let tomorrow = std::time::SystemTime::now() + Duration::from_secs(86400);
    assert_eq!(refused(&engine, &trust.clone().not_before(tomorrow)), Some(Rejection::TooOld));
    // The ref of another place.
    let mut main = Vec::new();
    engine.tamper(|name, bytes| {
        if name.ends_with("/r/main") {
            main.clone_from(bytes);
        }
    });
    let other = Namespace::new("test/other").unwrap();
    let reader = StoreReader::of(Arc::new(store.clone()), "store").unwrap();
    push(&engine, (&other, "main"), &key(), &reader, soon()).unwrap();
    engine.tamper(|name, bytes| {
        if name.starts_with("test/other") && name.ends_with("/r/main") {
            bytes.clone_from(&main);
        }
    });
    let error = pull(&engine, (&other, "main"), &trust, Arc::new(MemoryStorage::new()), None, soon());
    assert!(
        matches!(error, Err(ShareError::NoRef { rejected: Some(Rejection::Signature), .. })),
        "{error:?}"
    );
}

/// Each item is changed in some way; whatever comes of it, values are right, and what is taken is what was pushed.
#[test]
fn hostile_bytes_give_no_value() {
    let (here, there) = (tree(12), tree(12));
    let store = MemoryStorage::new();
    let expected = open(here.path(), &store).run(report);
    take_ran();
    let trust = Trust::none().key(key().public());
    let mut seed = 0x9e37_79b9_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let (engine, mut originals) = (MemoryEngine::new(), Vec::new());
    share(&engine, &store);
    engine.tamper(|_, bytes| originals.push(bytes.clone()));
    let mut unhurt = 0;
    for round in 0..400 {
        let mut restored = originals.iter();
        engine.tamper(|_, bytes| bytes.clone_from(restored.next().unwrap()));
        let which = random(3);
        let mut at = 0;
        engine.tamper(|_, bytes| {
            let place = random(bytes.len());
            if at == which {
                match round % 5 {
                    0 => bytes[place] ^= 1 << random(8),
                    1 => bytes.truncate(place.max(1)),
                    2 => bytes.extend_from_slice(&[0; 100]),
                    3 => bytes.resize(20 << 20, 7),
                    _ => bytes[place..].fill(0xff),
                }
            }
            at += 1;
        });
        let second = MemoryStorage::new();
        match try_take(&engine, &trust, Arc::new(second.clone())) {
            Ok(pulled) => {
                assert!(pulled.imported == 0 || pulled.imported == 25, "{pulled:?}");
                unhurt += u32::from(pulled.imported > 0);
            }
            Err(ShareError::NoRef { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        if round % 10 == 0 {
            assert_eq!(open(there.path(), &second).run(report), expected);
        }
    }
    take_ran();
    assert!(unhurt < 8, "{unhurt} of 400 changes were not noticed; a truncation to the whole length is none");
}

#[test]
fn a_key_is_read_back_and_never_printed() {
    let key = SigningKey::generate("ci").unwrap();
    assert_eq!(SigningKey::parse(&key.secret_text()).unwrap().public(), key.public());
    assert_eq!(format!("{key:?}"), "SigningKey(ci:***)");
    let wrong = SigningKey::parse("ci:1234").unwrap_err();
    assert!(!wrong.to_string().contains("1234"));
    assert!(larder_shared::TrustedKey::parse(&format!("x:{}", "00".repeat(32))).is_err());
}
