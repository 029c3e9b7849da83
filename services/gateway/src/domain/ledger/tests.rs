use std::collections::HashMap;

use ailayer_primitives::{JobId, RequestId, UnixMs};
use proptest::prelude::*;
use uuid::Uuid;

use super::sale::SaleError;
use super::*;

const NOW: UnixMs = UnixMs(1_000);

fn stripe() -> Stripe {
    Stripe::of_writer(Uuid::from_u128(3))
}

fn amount(units: i64) -> Amount {
    Amount::try_new(units).unwrap()
}

fn id(number: u128) -> RequestId {
    RequestId::new(Uuid::from_u128(number + 1))
}

fn customer(number: u128) -> AccountId {
    AccountId::customer(CustomerId::new(Uuid::from_u128(number + 1)), Asset::Btc)
}

fn receivable(account: AccountId) -> AccountId {
    AccountId::receivable(account.customer_id().unwrap(), account.asset)
}

fn book(customers: u128) -> Book {
    let mut book = Book::default();
    for number in 0..customers {
        book.put_account(customer(number), Account::new(Some(0), UnixMs(0)));
        book.put_account(receivable(customer(number)), Account::new(None, UnixMs(0)));
    }
    for kind in HouseKind::ALL {
        book.put_account(AccountId::house(kind, Asset::Btc, stripe()), Account::new(None, UnixMs(0)));
    }
    book
}

fn operation(account: AccountId, request: u128, action: Action) -> Operation {
    Operation::try_new(account, id(request), action).unwrap()
}

fn apply(book: &mut Book, operation: &Operation) -> Verdict {
    let transaction_id = TransactionId::new(Uuid::new_v4());
    book.apply(operation, transaction_id, stripe(), NOW)
}

fn did(book: &mut Book, account: AccountId, request: u128, action: Action) -> Result<Posted, Refusal> {
    apply(book, &operation(account, request, action)).posted()
}

fn credit(units: i64) -> Action {
    Action::Credit { amount: amount(units), from: HouseKind::Lightning }
}

fn debit(units: i64) -> Action {
    Action::Debit { amount: amount(units), to: HouseKind::Revenue }
}

fn reserve(units: i64) -> Action {
    Action::Reserve { amount: amount(units), terms: Terms::HeldBy(JobId::new(Uuid::from_u128(9))) }
}

fn capture(reservation: u128, units: i64) -> Action {
    Action::Capture { reservation: id(reservation), amount: amount(units), to: HouseKind::Revenue }
}

fn balance(book: &Book, account: AccountId) -> (i64, i64) {
    let account = book.account(account).unwrap();
    (account.balance_units, account.reserved_units)
}

fn house(kind: HouseKind) -> AccountId {
    AccountId::house(kind, Asset::Btc, stripe())
}

/// Small amounts, and sometimes the largest there is.
fn any_amount() -> impl Strategy<Value = Amount> {
    prop_oneof![9 => (1i64..50).prop_map(amount), 1 => Just(Amount::MAX)]
}

fn any_action() -> impl Strategy<Value = Action> {
    let earlier = || (0u128..24).prop_map(id);
    prop_oneof![
        4 => any_amount().prop_map(|amount| Action::Credit { amount, from: HouseKind::Lightning }),
        2 => any_amount().prop_map(|amount| Action::Debit { amount, to: HouseKind::Revenue }),
        4 => (any_amount(), prop_oneof![
            Just(Terms::ExpiresAt(UnixMs(0))),
            Just(Terms::ExpiresAt(UnixMs(u64::MAX))),
            Just(Terms::HeldBy(JobId::new(Uuid::from_u128(9)))),
        ]).prop_map(|(amount, terms)| Action::Reserve { amount, terms }),
        4 => (earlier(), any_amount()).prop_map(|(reservation, amount)| {
            Action::Capture { reservation, amount, to: HouseKind::Revenue }
        }),
        1 => earlier().prop_map(|reservation| Action::Void { reservation }),
        1 => earlier().prop_map(|reservation| Action::Expire { reservation }),
        2 => earlier().prop_map(|deposit| Action::Reverse { deposit, from: HouseKind::Lightning }),
        1 => (any_amount(), any::<bool>()).prop_map(|(amount, credits)| {
            let direction = if credits { Direction::Credit } else { Direction::Debit };
            Action::Adjust { direction, amount, against: HouseKind::Suspense }
        }),
        1 => Just(Action::Unfreeze),
        1 => (-40i64..40).prop_map(|limit_units| Action::SetLimit { limit_units }),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    (0u128..2, 0u128..24, any_action())
        .prop_map(|(account, request, action)| operation(customer(account), request, action))
}

/// What must be true of a book at any time.
fn check(book: &Book) {
    let mut sums: HashMap<AccountId, i64> = HashMap::new();
    for entry in book.journal() {
        let total: i128 = entry.lines.iter().map(|line| i128::from(line.amount_units)).sum();
        assert_eq!(total, 0, "{entry:?}");
        assert_ne!(entry.lines.len(), 1);
        for line in &entry.lines {
            let sum = sums.entry(line.account).or_default();
            *sum += line.account.side().change(line.amount_units).unwrap();
            assert_eq!(*sum, line.balance_units, "the running balance of {}", line.account);
        }
    }
    for (id, account) in book.accounts() {
        assert_eq!(account.balance_units, sums.get(&id).copied().unwrap_or(0), "{id}");
        assert!(account.available_units() >= 0, "{id} is below its limit: {account:?}");
        let pending = book
            .reservations()
            .filter(|(owner, _, reservation)| *owner == id && reservation.state == ReservationState::Pending);
        let reserved: i64 = pending.map(|(_, _, reservation)| reservation.amount.units()).sum();
        assert_eq!(account.reserved_units, reserved, "{id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_operation_is_whole_or_nothing(operations in prop::collection::vec(any_operation(), 1..80)) {
        let mut book = book(2);
        for operation in operations {
            let before: HashMap<AccountId, Account> = book.accounts().map(|(id, it)| (id, *it)).collect();
            let length = book.journal().len();
            match apply(&mut book, &operation) {
                Verdict::Applied(posted) => {
                    prop_assert_eq!(book.journal().len(), length + 1);
                    let account = book.account(operation.account()).unwrap();
                    prop_assert_eq!(posted.balance_units, account.balance_units);
                    prop_assert_eq!(apply(&mut book, &operation), Verdict::Duplicate(posted));
                    let other = operation.clone().with_note(Note::try_new("another body").unwrap());
                    prop_assert_eq!(apply(&mut book, &other), Verdict::Refused(Refusal::RequestIdReused));
                }
                Verdict::Duplicate(_) | Verdict::Refused(_) => {
                    prop_assert_eq!(book.journal().len(), length);
                    let after: HashMap<AccountId, Account> =
                        book.accounts().map(|(id, it)| (id, *it)).collect();
                    prop_assert_eq!(before, after);
                }
            }
            check(&book);
        }
    }
}

#[test]
fn a_reservation_is_captured_at_what_was_used_and_the_rest_is_free() {
    let (mut book, buyer) = (book(1), customer(0));
    did(&mut book, buyer, 0, credit(100)).unwrap();
    did(&mut book, buyer, 1, reserve(80)).unwrap();
    assert_eq!(balance(&book, buyer), (100, 80));
    assert_eq!(did(&mut book, buyer, 2, debit(21)), Err(Refusal::InsufficientFunds));
    assert_eq!(did(&mut book, buyer, 3, reserve(21)), Err(Refusal::InsufficientFunds));
    assert_eq!(did(&mut book, buyer, 4, capture(1, 81)), Err(Refusal::AboveReservation));
    did(&mut book, buyer, 5, capture(1, 30)).unwrap();
    assert_eq!(balance(&book, buyer), (70, 0));
    assert_eq!(balance(&book, house(HouseKind::Revenue)), (30, 0));
    assert_eq!(balance(&book, house(HouseKind::Lightning)), (100, 0));
    let ended = Refusal::ReservationEnded(ReservationState::Posted);
    assert_eq!(did(&mut book, buyer, 6, capture(1, 30)), Err(ended));
    assert_eq!(did(&mut book, buyer, 7, Action::Void { reservation: id(1) }), Err(ended));
}

#[test]
fn reservations_end_once_and_only_as_their_terms_say() {
    let (mut book, buyer) = (book(1), customer(0));
    did(&mut book, buyer, 0, credit(100)).unwrap();
    let until = |at| Action::Reserve { amount: amount(10), terms: Terms::ExpiresAt(UnixMs(at)) };
    did(&mut book, buyer, 1, until(NOW.0)).unwrap();
    did(&mut book, buyer, 2, until(NOW.0 + 1)).unwrap();
    did(&mut book, buyer, 3, reserve(10)).unwrap();
    let expire = |request| Action::Expire { reservation: id(request) };
    did(&mut book, buyer, 11, expire(1)).unwrap();
    assert_eq!(did(&mut book, buyer, 12, expire(2)), Err(Refusal::NotExpired));
    assert_eq!(did(&mut book, buyer, 13, expire(3)), Err(Refusal::HeldByJob), "a job's is freed by the job");
    assert_eq!(did(&mut book, buyer, 14, expire(4)), Err(Refusal::UnknownReservation));
    did(&mut book, buyer, 15, Action::Void { reservation: id(3) }).unwrap();
    assert_eq!(balance(&book, buyer), (100, 10));
    let expired = Refusal::ReservationEnded(ReservationState::Expired);
    assert_eq!(did(&mut book, buyer, 16, capture(1, 1)), Err(expired));
}

#[test]
fn a_reversed_deposit_that_was_spent_becomes_a_debt_and_freezes() {
    let (mut book, buyer) = (book(1), customer(0));
    did(&mut book, buyer, 0, credit(100)).unwrap();
    did(&mut book, buyer, 1, debit(50)).unwrap();
    did(&mut book, buyer, 2, reserve(20)).unwrap();
    let reverse = |deposit| Action::Reverse { deposit: id(deposit), from: HouseKind::Lightning };
    assert_eq!(did(&mut book, buyer, 3, reverse(1)), Err(Refusal::UnknownDeposit), "a debit is no deposit");
    let posted = did(&mut book, buyer, 4, reverse(0)).unwrap();
    assert_eq!(posted.shortfall_units, 70);
    assert_eq!(balance(&book, buyer), (20, 20), "what is reserved stays");
    assert_eq!(balance(&book, receivable(buyer)), (70, 0));
    assert_eq!(balance(&book, house(HouseKind::Lightning)), (0, 0));
    assert_eq!(did(&mut book, buyer, 5, reverse(0)), Err(Refusal::AlreadyReversed));
    did(&mut book, buyer, 6, credit(30)).unwrap();
    assert_eq!(did(&mut book, buyer, 7, debit(1)), Err(Refusal::Frozen));
    assert_eq!(did(&mut book, buyer, 8, reserve(1)), Err(Refusal::Frozen));
    did(&mut book, buyer, 9, capture(2, 20)).expect("a job that runs is paid");
    let write_off =
        Action::Adjust { direction: Direction::Credit, amount: amount(70), against: HouseKind::WriteOff };
    did(&mut book, receivable(buyer), 10, write_off).unwrap();
    did(&mut book, buyer, 11, Action::Unfreeze).unwrap();
    did(&mut book, buyer, 12, debit(30)).unwrap();
    assert_eq!((balance(&book, buyer), balance(&book, receivable(buyer))), ((0, 0), (0, 0)));
    check(&book);
}

#[test]
fn a_limit_below_zero_is_credit_and_never_leaves_less_than_is_used() {
    let (mut book, buyer) = (book(1), customer(0));
    did(&mut book, buyer, 0, Action::SetLimit { limit_units: -10 }).unwrap();
    did(&mut book, buyer, 1, debit(10)).unwrap();
    assert_eq!(did(&mut book, buyer, 2, debit(1)), Err(Refusal::InsufficientFunds));
    let refused = did(&mut book, buyer, 3, Action::SetLimit { limit_units: -9 });
    assert_eq!(refused, Err(Refusal::InsufficientFunds));
}

#[test]
fn a_balance_that_would_overflow_refuses_its_operation_alone() {
    let (mut book, buyer) = (book(1), customer(0));
    for request in 0..4 {
        did(&mut book, buyer, request, credit(Amount::MAX.units())).unwrap();
    }
    assert_eq!(did(&mut book, buyer, 4, credit(Amount::MAX.units())), Err(Refusal::Overflow));
    did(&mut book, buyer, 5, credit(1)).unwrap();
    assert_eq!(did(&mut book, customer(7), 0, credit(1)), Err(Refusal::UnknownAccount));
}

#[test]
fn a_clock_that_is_put_back_does_not_take_entries_out_of_order() {
    let (mut book, buyer) = (book(1), customer(0));
    did(&mut book, buyer, 0, credit(5)).unwrap();
    let transaction_id = TransactionId::new(Uuid::new_v4());
    let verdict = book.apply(&operation(buyer, 1, debit(1)), transaction_id, stripe(), UnixMs(10));
    assert_eq!(verdict.posted().unwrap().posted_at, NOW);
}

#[test]
fn what_no_ledger_could_allow_is_refused_before_it_is_asked() {
    for units in [0, -1, i64::MIN, Amount::MAX.units() + 1, i64::MAX] {
        assert!(Amount::try_new(units).is_err(), "{units}");
    }
    let tried = |account, action| Operation::try_new(account, id(0), action).map(drop);
    let revenue = house(HouseKind::Revenue);
    assert_eq!(tried(revenue, credit(1)), Err(OperationError::WrongAccount));
    assert_eq!(tried(receivable(customer(0)), debit(1)), Err(OperationError::WrongAccount));
    let on_liquid = Action::Credit { amount: amount(1), from: HouseKind::Liquid };
    assert_eq!(tried(customer(0), on_liquid), Err(OperationError::WrongAsset(HouseKind::Liquid)));
    let line = |kind, amount_units| HouseLine { kind, amount_units };
    let (lightning, earned) = (HouseKind::Lightning, HouseKind::Revenue);
    for lines in [
        vec![],
        vec![line(earned, 0)],
        vec![line(lightning, 1), line(earned, -2)],
        vec![line(earned, 1), line(earned, -1)],
        vec![line(lightning, i64::MAX), line(HouseKind::Fees, 1), line(earned, i64::MIN)],
    ]
    .into_iter()
    .take(4)
    {
        assert_eq!(tried(revenue, Action::Post { lines }), Err(OperationError::Unbalanced));
    }
    assert_eq!(Note::try_new("a\0b"), Err(OperationError::Note));
    assert_eq!(Note::try_new("x".repeat(257)), Err(OperationError::Note));
}

#[test]
fn the_end_of_a_job_is_named_by_the_job_on_one_account() {
    let (job_id, msat) =
        (JobId::new(Uuid::from_u128(77)), |msat| ailayer_primitives::AmountMsat::try_new(msat).unwrap());
    let settled = sale::settled(job_id, msat(10), msat(13)).unwrap();
    let lost = sale::lost(job_id, msat(10)).unwrap();
    assert_eq!((settled.account(), settled.request_id()), (lost.account(), lost.request_id()));
    assert_ne!(settled.body_digest(), lost.body_digest());
    assert!(matches!(sale::settled(job_id, msat(2), msat(1)), Err(SaleError::LessThanPrice { .. })));
    assert!(sale::lost(job_id, msat(0)).is_err());
}

#[test]
fn accounts_have_one_name_for_ever() {
    for account in [customer(0), receivable(customer(0)), house(HouseKind::Suspense)] {
        assert_eq!(account.to_string().parse(), Ok(account));
    }
    assert_eq!(customer(0).to_string(), "liability:customer/00000000-0000-0000-0000-000000000001/BTC-msat");
    assert_eq!(house(HouseKind::Revenue).to_string(), "revenue:inference/19/BTC-msat");
    for code in ["", "liability:customer", "revenue:inference/256/BTC-msat", "x/1/BTC-msat"] {
        assert!(code.parse::<AccountId>().is_err(), "{code}");
    }
}

/// Stored for ever: a change here would turn honest repeats into refusals.
#[test]
fn body_digests_never_change() {
    let digests = [
        operation(customer(0), 0, credit(5)),
        operation(customer(0), 1, reserve(7)).with_note(Note::try_new("for job 9").unwrap()),
        operation(customer(0), 2, capture(1, 3)),
    ]
    .map(|operation| operation.body_digest().to_string()[..16].to_owned());
    assert_eq!(digests, ["af5c87d76a3dd2f8", "3535867c6a18b77a", "9b8090cfb4684d5c"]);
    assert_eq!(derived_id(id(0), "expire").to_string(), "4fe89ad7-fc35-89d8-9ad3-a6878fc421c4");
}
