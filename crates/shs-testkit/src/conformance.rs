//! The macro that makes tests of the rules.

/// Makes a module of tests out of all rules, one test for each, for a [`Fixture`](crate::Fixture).
///
/// The module is named `conformance` unless another name comes first. The tests run on tokio's
/// multi-threaded runtime. See [the crate](crate) for an example.
#[macro_export]
macro_rules! conformance {
    ($fixture:ty) => {
        $crate::conformance!(conformance, $fixture);
    };
    ($name:ident, $fixture:ty) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::__tests! { ($fixture)
            appends {
                messages_are_numbered_from_one_without_gaps,
                numbers_are_never_given_twice,
                messages_come_back_as_they_were_given,
                a_large_message_comes_back_whole,
                counts_and_tokens_follow,
                an_empty_batch_stores_nothing,
                appending_to_a_missing_session_is_refused,
                a_refused_batch_stores_none,
                a_batch_has_a_limit,
                times_order_nothing,
                an_ended_session_still_takes_messages,
                one_message_id_in_two_sessions_is_two_messages,
                an_expected_last_number_must_hold,
                a_stored_batch_can_be_repeated_with_its_expectation,
                numbers_end_at_the_highest,
            }
            cancellation {
                a_dropped_create,
                a_dropped_append,
                a_dropped_change_of_a_message,
                a_dropped_deletion_of_a_message,
                a_dropped_change_of_a_session,
                a_dropped_deletion_of_a_session,
                a_dropped_deletion_of_a_user,
                a_dropped_fork,
                a_dropped_import,
                dropped_reads,
            }
            closing {
                flush_and_close_can_be_repeated,
                everything_fails_after_a_close,
                writes_during_a_close_are_answered,
            }
            concurrency {
                many_writers_on_one_session,
                many_writers_on_many_sessions,
                writers_of_two_stores,
                the_same_messages_at_once_are_stored_once,
                one_of_many_rivals_succeeds,
                mixed_operations_at_once,
            }
            deletes {
                a_deleted_message_is_gone,
                deleting_a_missing_message,
                a_deleted_session_is_gone,
                deleting_a_missing_session,
                the_id_of_a_deleted_session_is_free_again,
                deleting_a_user_deletes_exactly_their_sessions,
                forks_stay_when_the_source_goes,
            }
            forks {
                a_fork_copies_up_to_its_number,
                a_fork_inherits_what_is_not_given,
                a_fork_is_a_session_of_its_own,
                a_fork_can_be_forked,
                a_refused_fork_makes_nothing,
            }
            imports {
                an_import_comes_back_exactly,
                a_streamed_import_is_an_import,
                a_streamed_import_that_fails_stores_nothing,
                numbering_goes_on_after_an_import,
                an_import_is_counted_anew,
                an_import_that_breaks_a_rule_is_refused,
                an_import_to_a_taken_id_is_refused,
                an_overwriting_import_leaves_nothing_of_the_old,
                an_empty_import_overwrites_too,
                an_import_in_the_place_of_a_state_loses_nothing_said_since,
            }
            limits {
                bad_ids_cannot_be_made,
                a_session_that_breaks_a_limit_is_refused,
                what_is_within_the_limits_comes_back,
                nul_characters_come_back,
                a_limit_out_of_range_is_refused,
                a_long_search_text_is_refused,
                a_cursor_of_another_query_is_refused,
                errors_say_where_and_hold_no_content,
            }
            listing {
                pages_of_any_size_give_every_session_once,
                a_page_of_sessions_knows_whether_there_is_more,
                session_filters_give_what_passes_all_of_them,
                an_offset_passes_over_sessions,
                writes_during_a_walk_by_creation,
                writes_during_a_walk_by_change,
                a_walk_goes_on_after_its_place_is_deleted,
            }
            message_updates {
                a_message_changes_only_in_what_is_named,
                tokens_follow_a_change,
                search_follows_a_change,
                an_expected_status_must_hold,
                an_expected_writer_must_hold,
                an_interrupted_writer_is_the_last_one,
                repeating_a_change_of_a_message,
                changing_a_missing_message_is_refused,
                a_refused_change_of_a_message_changes_nothing,
            }
            messages {
                missing_messages_are_not_found,
                pages_of_any_size_give_every_message_once,
                a_page_is_full_and_knows_whether_there_is_more,
                filters_give_what_passes_all_of_them,
                an_offset_passes_over_messages,
                what_is_appended_during_a_walk,
                what_is_deleted_during_a_walk,
                pages_of_large_messages_are_short,
            }
            model {
                random_operations_give_what_the_model_gives,
            }
            reopening {
                everything_is_there_after_reopening,
                nothing_is_forgotten_by_reopening,
                cursors_stay_valid_after_reopening,
                arrival_goes_on_after_reopening,
                another_store_sees_what_was_written,
                nothing_waits_for_a_close,
            }
            repetition {
                a_repeated_batch_stores_nothing_twice,
                a_batch_repeated_in_part_stores_the_rest,
                a_repetition_returns_what_was_changed_since,
                a_taken_message_id_with_other_content_is_a_conflict,
                other_fields_make_no_conflict,
                an_id_twice_in_a_batch_is_refused,
                the_id_of_a_deleted_message_is_free_again,
                copies_recognize_repetitions,
                a_write_whose_answer_was_lost_can_be_repeated,
            }
            scopes {
                tenants_with_the_same_ids_never_meet,
                what_is_outside_of_the_scope_is_as_if_it_were_not_there,
                a_session_of_a_users_scope_is_theirs,
                naming_another_user_is_refused,
                an_id_is_taken_for_the_whole_tenant,
                a_cursor_of_another_scope_is_refused,
                a_cursor_at_an_extreme_gives_a_page,
                tenants_are_told_apart_byte_by_byte,
                words_of_other_tenants_are_not_found,
                ranks_tell_nothing_of_what_others_said,
                tenants_are_listed_by_name,
                deleting_a_tenant_deletes_exactly_its_sessions,
                stale_streams_of_all_tenants_are_interrupted,
            }
            search {
                words_are_found_in_every_script,
                the_query_language_is_kept,
                every_query_finds_exactly_what_matches,
                a_search_without_words,
                hits_are_ordered_by_when_they_were_stored,
                pages_of_any_size_give_every_hit_once,
                an_offset_passes_over_hits,
                writes_during_a_search,
                the_oldest_order_follows_what_arrives,
                search_filters_give_what_passes_all_of_them,
                a_search_by_rank_has_one_page_best_first,
                better_matches_rank_higher,
                a_stored_message_is_found_at_once,
                pages_of_large_hits_are_short,
            }
            session_updates {
                a_change_touches_only_what_it_names,
                changes_to_different_fields_both_hold,
                repeating_a_change_changes_only_the_time,
                changing_a_missing_session_is_refused,
                a_refused_change_changes_nothing,
                every_write_sets_the_time_of_change,
                the_time_of_change_never_goes_back,
            }
            sessions {
                a_created_session_is_returned_as_it_is_stored,
                the_store_tells_the_time_that_it_stores,
                a_session_keeps_the_start_that_is_given,
                a_taken_id_is_refused,
                a_missing_session_is_not_found,
                repeated_tags_are_stored_once,
                ids_are_told_apart_byte_by_byte,
                message_ids_are_told_apart_byte_by_byte,
            }
            stats {
                an_empty_store_counts_nothing,
                stats_count_what_the_query_asks_for,
            }
            }
        }
    };
}

/// Makes the tests of a list of rules, by their modules.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($fixture:tt $($group:ident { $($rule:ident,)+ })+) => {
        $(mod $group {
            #[allow(unused_imports)]
            use super::*;

            $crate::__group! { $fixture $group $($rule)+ }
        })+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __group {
    (($fixture:ty) $group:ident $($rule:ident)+) => {
        $(#[test]
        fn $rule() {
            $crate::run::<$fixture>($crate::rules::$group::$rule);
        })+
    };
}

#[cfg(test)]
mod tests {
    /// The list above names every rule that there is.
    #[test]
    fn no_rule_is_forgotten() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let list = std::fs::read_to_string(source.join("conformance.rs")).unwrap();
        let mut rules = 0;
        for file in std::fs::read_dir(source.join("rules")).unwrap() {
            let file = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for rule in file.lines().filter_map(|line| line.strip_prefix("pub async fn ")) {
                let name = rule.split('<').next().unwrap();
                assert!(list.contains(&format!(" {name},\n")), "{name} is not in the list");
                rules += 1;
            }
        }
        assert!(rules > 100, "the rules were read");
    }
}
