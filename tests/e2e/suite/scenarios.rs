//! The scenarios, in the order in which they run: the last ones look back at all others, then end the services.

mod bad_input;
mod books;
mod commands;
mod configuration;
mod crashes;
mod deadlines;
mod demo;
mod failures;
mod health;
mod idempotency;
mod operating;
mod paying;
mod payouts;
mod prepaid;
mod proof;
mod sealed;
mod secrets;
mod shutdown;
mod tensors;

use crate::harness::{Sample, Scenario};

/// A scenario that is named after its function.
macro_rules! on_stage {
    ($($module:ident :: $function:ident,)+) => {
        vec![$(Scenario::on_stage(
            concat!(stringify!($module), "::", stringify!($function)),
            |stage| Box::pin($module::$function(stage)),
        ),)+]
    };
}

/// All of them. Of those that are too many for every run, `sample` draws some.
pub fn all(sample: &mut Sample) -> Vec<Scenario> {
    let mut all = configuration::all();
    all.extend(on_stage![
        health::every_service_answers_on_every_port,
        health::model_serving_shows_every_metric_of_its_readme,
        proof::a_paid_answer_is_the_right_one,
        proof::a_bundle_verifies_offline,
        proof::every_altered_field_is_named,
        idempotency::identical_requests_at_once_make_one_job,
        idempotency::another_body_under_the_same_id_is_refused,
        bad_input::orders_that_cannot_be_served_are_refused,
        bad_input::a_job_opens_for_its_token_only,
        bad_input::nothing_is_given_out_before_it_is_paid,
        tensors::tensors_that_do_not_fit_are_refused,
        paying::the_same_invoice_twice,
        paying::more_or_less_than_the_price,
        paying::after_giving_up,
        paying::giving_up_while_the_model_runs,
        paying::giving_up_too_late,
        paying::a_payer_that_dies_while_its_money_is_held,
        paying::after_the_quote_has_ended,
        paying::in_time_while_the_gateway_is_down_too_long,
        sealed::a_sealed_answer_is_delivered_then_paid_then_opened,
        sealed::an_answer_that_is_never_acknowledged_costs_nothing,
        prepaid::a_customer_pays_out_of_a_balance,
        prepaid::customers_see_nothing_of_each_other,
        prepaid::a_deposit_is_taken_once,
        prepaid::a_job_without_an_answer_costs_nothing,
        prepaid::a_deposit_that_is_paid_while_the_gateway_is_down,
        operating::from_the_price_to_the_books,
        payouts::one_is_in_the_log_before_it_leaves,
        health::a_missing_dependency_is_named,
        failures::the_model_server_dies_before_the_money_comes,
        failures::the_model_server_hangs_and_comes_back,
        failures::the_log_is_down,
        failures::the_database_goes_away_for_a_moment,
        failures::money_that_comes_while_the_database_is_down,
        failures::services_that_stand_still_for_a_while,
    ]);
    all.extend(crashes::all(sample));
    all.extend(on_stage![
        deadlines::the_guard_gives_held_money_back_without_the_gateway,
        deadlines::a_logged_receipt_is_voided_when_blocks_run_out,
        deadlines::a_claim_that_was_never_asked_for_is_written_off,
        deadlines::a_crash_behind_the_write_off_changes_nothing,
        deadlines::a_claim_that_comes_late_is_settled_or_written_off,
        books::they_agree_with_each_other_and_with_the_nodes,
        secrets::no_log_holds_any,
        shutdown::every_service_ends_when_asked,
    ]);
    all.extend(commands::all());
    all.extend(demo::all());
    all.extend(shutdown::alone());
    all
}
