package settings

// groups are all the settings that a server of a supported version has, and
// some of modules. What a name is followed by: setting.read. A setting without a
// mark is in all versions. (TestEverySettingIsDecided)
var groups = []group{
	{
		why: "decides what a constant or an operator in a text means",
		names: `
			array_nulls backslash_quote DateStyle default_text_search_config IntervalStyle
			lc_monetary standard_conforming_strings TimeZone timezone_abbreviations
			transform_null_equals xmloption`,
		keyed: true, parse: true,
	},
	{
		why:   "decides how a value is written",
		names: "bytea_output extra_float_digits lc_numeric lc_time quote_all_identifiers xmlbinary",
		keyed: true,
	},
	{
		why:   "decides what is said of a text, and in which language",
		names: "escape_string_warning lc_messages",
		keyed: true,
	},
	{
		why:   "decides whether policies or rules apply",
		names: "row_security session_replication_role",
		keyed: true,
	},
	{
		why:   "at log or a debug level, Postgres tells the client of each statement what log_statement, log_duration, debug_print_plan and their kin say",
		names: "client_min_messages",
		keyed: true, only: []string{"notice", "warning", "error"}, reason: ReasonMessages,
	},
	{
		why:   "another isolation level has the snapshots of its transactions",
		names: "default_transaction_isolation",
		only:  []string{"read committed"}, reason: ReasonIsolation,
	},
	{
		why:   "texts are analysed and compared as UTF8",
		names: "client_encoding",
		only:  []string{"UTF8", "UNICODE"}, reason: ReasonEncoding,
	},
	{
		why:   "an index gives a random part of what it finds",
		names: "gin_fuzzy_search_limit",
		only:  []string{"0"}, reason: ReasonSetting,
	},
	{
		why:   "views, or foreign tables, are forbidden",
		names: "restrict_nonsystem_relation_kind?",
		only:  []string{""}, reason: ReasonSetting,
	},
	{
		why:   "a damaged page is read as if it were none",
		names: "ignore_checksum_failure zero_damaged_pages",
		only:  []string{"off"}, reason: ReasonSetting,
	},
	{
		why:   "the plans of auto_explain are sent to the client at notice and above",
		names: "auto_explain.log_level?",
		only:  []string{"log", "debug", "debug1", "debug2", "debug3", "debug4", "debug5"}, reason: ReasonSetting,
	},
	{
		why:   "what a damaged index of a catalog lacks is found without it",
		names: "ignore_system_indexes",
		start: true, only: []string{"off"}, reason: ReasonSetting,
	},
	{
		why:   "what else a client may read depends on its security label",
		names: "sepgsql.permissive?",
		start: true, only: []string{}, reason: ReasonLibrary,
	},
	{
		why:   "a library can change every answer",
		names: "local_preload_libraries",
		start: true, admits: harmlessLibraries, reason: ReasonLibrary,
	},
	{
		why:   "a library can change every answer: those of the role and the database, as the whole server's are the same for all, and ordinary roles cannot read them",
		names: "session_preload_libraries",
		start: true, value: sessionLibrariesSQL, admits: harmlessLibraries, reason: ReasonLibrary,
	},
	{
		why:   "the names in it are resolved by the probe, and what they lead to is in the key",
		names: "search_path",
	},
	{
		why:   "the user, and the OID of the role, are in the key",
		names: "is_superuser role session_authorization",
	},
	{
		why: "chooses a plan: rows without ORDER BY come in another order, and what depends on the order is another (the last digits of a sum of floats): a difference that docs/protocol.md lists",
		names: `
			constraint_exclusion cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost
			cursor_tuple_fraction debug_parallel_query@16+ effective_cache_size
			effective_io_concurrency enable_async_append enable_bitmapscan
			enable_distinct_reordering@18+ enable_gathermerge enable_group_by_reordering@17+
			enable_hashagg enable_hashjoin enable_incremental_sort enable_indexonlyscan
			enable_indexscan enable_material enable_memoize enable_mergejoin enable_nestloop
			enable_parallel_append enable_parallel_hash enable_partition_pruning
			enable_partitionwise_aggregate enable_partitionwise_join enable_presorted_aggregate@16+
			enable_self_join_elimination@18+ enable_seqscan enable_sort enable_tidscan
			force_parallel_mode@-15 from_collapse_limit geqo geqo_effort geqo_generations
			geqo_pool_size geqo_seed geqo_selection_bias geqo_threshold hash_mem_multiplier jit
			jit_above_cost jit_debugging_support jit_dump_bitcode jit_expressions
			jit_inline_above_cost jit_optimize_above_cost jit_profiling_support jit_tuple_deforming
			join_collapse_limit max_parallel_workers max_parallel_workers_per_gather
			min_parallel_index_scan_size min_parallel_table_scan_size parallel_leader_participation
			parallel_setup_cost parallel_tuple_cost plan_cache_mode random_page_cost
			recursive_worktable_factor@15+ seq_page_cost synchronize_seqscans work_mem`,
	},
	{
		why: "ends a statement with an error, or refuses it; an answer that needs no work needs none of that",
		names: `
			client_connection_check_interval deadlock_timeout exit_on_error lock_timeout
			max_stack_depth statement_timeout temp_file_limit transaction_timeout@17+`,
	},
	{
		why:   "ends a connection or a transaction that is idle, see keepalive.go",
		names: "idle_in_transaction_session_timeout idle_session_timeout",
	},
	{
		why: "applies to transactions that write, or to other isolation levels than READ COMMITTED",
		names: `
			commit_delay commit_siblings default_transaction_deferrable
			default_transaction_read_only synchronous_commit transaction_deferrable
			transaction_isolation transaction_read_only`,
	},
	{
		why: "is for the server's log, or for clients that want its messages (see client_min_messages)",
		names: `
			application_name backtrace_functions debug_pretty_print debug_print_parse
			debug_print_plan debug_print_rewritten log_connections log_disconnections log_duration
			log_error_verbosity log_executor_stats log_lock_failures@18+ log_lock_waits
			log_min_duration_sample log_min_duration_statement log_min_error_statement
			log_min_messages log_parameter_max_length log_parameter_max_length_on_error
			log_parser_stats log_planner_stats log_replication_commands log_statement
			log_statement_sample_rate log_statement_stats log_temp_files log_transaction_sample_rate
			trace_notify trace_sort`,
	},
	{
		why: "is for statistics and for those who watch the server",
		names: `
			compute_query_id stats_fetch_consistency@15+ track_activities
			track_cost_delay_timing@18+ track_counts track_functions track_io_timing
			track_wal_io_timing update_process_title`,
	},
	{
		why: "applies to commands that define, load or maintain",
		names: `
			allow_in_place_tablespaces allow_system_table_mods check_function_bodies
			createrole_self_grant@16+ default_statistics_target default_table_access_method
			default_tablespace default_toast_compression event_triggers@17+ file_copy_method@18+
			gin_pending_list_limit icu_validation_level@16+ maintenance_io_concurrency
			maintenance_work_mem max_parallel_maintenance_workers md5_password_warnings@18+
			password_encryption scram_iterations@16+ vacuum_buffer_usage_limit@16+ vacuum_cost_delay
			vacuum_cost_limit vacuum_cost_page_dirty vacuum_cost_page_hit vacuum_cost_page_miss
			vacuum_failsafe_age vacuum_freeze_min_age vacuum_freeze_table_age
			vacuum_max_eager_freeze_failure_rate@18+ vacuum_multixact_failsafe_age
			vacuum_multixact_freeze_min_age vacuum_multixact_freeze_table_age vacuum_truncate@18+`,
	},
	{
		why:   "applies to temporary tables and files, to large objects or to random(), which pass through",
		names: "lo_compat_privileges seed temp_buffers temp_tablespaces",
	},
	{
		why:   "says where the code of functions lies; those of users pass through",
		names: "dynamic_library_path extension_control_path@18+ extension_destdir@15+-15?",
	},
	{
		why: "applies to how the server writes, sends and receives",
		names: `
			backend_flush_after debug_discard_caches debug_logical_replication_streaming@16+
			io_combine_limit@17+ logical_decoding_work_mem post_auth_delay tcp_keepalives_count
			tcp_keepalives_idle tcp_keepalives_interval tcp_user_timeout wal_compression
			wal_consistency_checking wal_init_zero wal_recycle wal_sender_timeout wal_skip_threshold`,
	},
	{
		why: "one value for the whole server: a restart makes another incarnation, a reload ends every entry",
		names: `
			allow_alter_system@17+ archive_cleanup_command archive_command archive_library@15+
			archive_mode archive_timeout authentication_timeout autovacuum
			autovacuum_analyze_scale_factor autovacuum_analyze_threshold autovacuum_freeze_max_age
			autovacuum_max_workers autovacuum_multixact_freeze_max_age autovacuum_naptime
			autovacuum_vacuum_cost_delay autovacuum_vacuum_cost_limit
			autovacuum_vacuum_insert_scale_factor autovacuum_vacuum_insert_threshold
			autovacuum_vacuum_max_threshold@18+ autovacuum_vacuum_scale_factor
			autovacuum_vacuum_threshold autovacuum_work_mem autovacuum_worker_slots@18+
			bgwriter_delay bgwriter_flush_after bgwriter_lru_maxpages bgwriter_lru_multiplier
			block_size bonjour bonjour_name checkpoint_completion_target checkpoint_flush_after
			checkpoint_timeout checkpoint_warning cluster_name commit_timestamp_buffers@17+
			config_file data_checksums data_directory data_directory_mode data_sync_retry
			db_user_namespace@-16 debug_assertions debug_io_direct@16+ dynamic_shared_memory_type
			event_source external_pid_file file_extend_method@16+ fsync full_page_writes
			gss_accept_delegation@16+ hba_file hot_standby hot_standby_feedback huge_page_size
			huge_pages huge_pages_status@17+ ident_file idle_replication_slot_timeout@18+
			ignore_invalid_pages in_hot_standby integer_datetimes io_max_combine_limit@18+
			io_max_concurrency@18+ io_method@18+ io_workers@18+ jit_provider krb_caseins_users
			krb_server_keyfile lc_collate@-15 lc_ctype@-15 listen_addresses
			log_autovacuum_min_duration log_checkpoints log_destination log_directory log_file_mode
			log_filename log_hostname log_line_prefix log_recovery_conflict_waits log_rotation_age
			log_rotation_size log_startup_progress_interval@15+ log_timezone
			log_truncate_on_rotation logging_collector max_active_replication_origins@18+
			max_connections max_files_per_process max_function_args max_identifier_length
			max_index_keys max_locks_per_transaction max_logical_replication_workers
			max_notify_queue_pages@17+ max_parallel_apply_workers_per_subscription@16+
			max_pred_locks_per_page max_pred_locks_per_relation max_pred_locks_per_transaction
			max_prepared_transactions max_replication_slots max_slot_wal_keep_size
			max_standby_archive_delay max_standby_streaming_delay max_sync_workers_per_subscription
			max_wal_senders max_wal_size max_worker_processes min_dynamic_shared_memory min_wal_size
			multixact_member_buffers@17+ multixact_offset_buffers@17+ notify_buffers@17+
			num_os_semaphores@18+ oauth_validator_libraries@18+ old_snapshot_threshold@-16 port
			pre_auth_delay primary_conninfo primary_slot_name promote_trigger_file@-15
			recovery_end_command recovery_init_sync_method recovery_min_apply_delay
			recovery_prefetch@15+ recovery_target recovery_target_action recovery_target_inclusive
			recovery_target_lsn recovery_target_name recovery_target_time recovery_target_timeline
			recovery_target_xid remove_temp_files_after_crash reserved_connections@16+
			restart_after_crash restore_command segment_size send_abort_for_crash@16+
			send_abort_for_kill@16+ serializable_buffers@17+ server_encoding server_version
			server_version_num shared_buffers shared_memory_size@15+
			shared_memory_size_in_huge_pages@15+ shared_memory_type shared_preload_libraries ssl
			ssl_ca_file ssl_cert_file ssl_ciphers ssl_crl_dir ssl_crl_file ssl_dh_params_file
			ssl_ecdh_curve@-17 ssl_groups@18+ ssl_key_file ssl_library ssl_max_protocol_version
			ssl_min_protocol_version ssl_passphrase_command ssl_passphrase_command_supports_reload
			ssl_prefer_server_ciphers ssl_tls13_ciphers@18+ stats_temp_directory@-14
			subtransaction_buffers@17+ summarize_wal@17+ superuser_reserved_connections
			sync_replication_slots@17+ synchronized_standby_slots@17+ synchronous_standby_names
			syslog_facility syslog_ident syslog_sequence_numbers syslog_split_messages
			trace_connection_negotiation@17+ trace_recovery_messages@-16 track_activity_query_size
			track_commit_timestamp transaction_buffers@17+ unix_socket_directories unix_socket_group
			unix_socket_permissions vacuum_defer_cleanup_age@-15 wal_block_size wal_buffers
			wal_decode_buffer_size@15+ wal_keep_size wal_level wal_log_hints
			wal_receiver_create_temp_slot wal_receiver_status_interval wal_receiver_timeout
			wal_retrieve_retry_interval wal_segment_size wal_summary_keep_time@17+ wal_sync_method
			wal_writer_delay wal_writer_flush_after`,
	},
}
