import unittest

from zeit.cds import errors
from zeit.cds.values.plan import LOSSES, Job, Outcome, Plan


def jobs(*names, size=1):
    return [Job(name=name, size=size, open=None) for name in names]


def lost():
    return errors.ConnectionLost(104, 'Connection reset')


def refused():
    return errors.PermanentError(553, '553 No.')


class PlanTests(unittest.TestCase):
    def run_plan(self, plan, **errors_by_name):
        """Return the attempts as name and number; each has the error of its name, once a list."""
        attempts = []
        while (job := plan.next()) is not None:
            attempts.append(f'{job.name}{job.attempt}')
            error = errors_by_name.get(job.name)
            if isinstance(error, list):
                error = error.pop(0) if error else None
            plan.settle(Outcome(job=job, error=error))
        return ' '.join(attempts)

    def test_in_order(self):
        self.assertEqual('b1 a1 c1', self.run_plan(Plan(jobs(*'bac'))))

    def test_jobs_are_taken_one_by_one(self):
        source = iter(jobs(*'abc'))
        plan = Plan(source)
        plan.next()
        self.assertEqual(['b', 'c'], [job.name for job in source])

    def test_what_is_refused_does_not_stop_the_others(self):
        plan = Plan(jobs(*'abc'))
        self.assertEqual('a1 b1 c1', self.run_plan(plan, a=refused(), b=refused()))
        self.assertIsNone(plan.stopped)

    def test_strict_stops_at_the_first_failure(self):
        plan, error = Plan(jobs(*'abc'), strict=True), refused()
        self.assertEqual('a1 b1', self.run_plan(plan, b=error))
        self.assertIs(error, plan.stopped)

    def test_a_lost_connection_is_worth_a_second_attempt_before_the_others(self):
        self.assertEqual('a1 a2 b1', self.run_plan(Plan(jobs(*'ab')), a=[lost()]))

    def test_if_the_order_does_not_matter_it_comes_behind_the_others(self):
        self.assertEqual('a1 b1 a2', self.run_plan(Plan(jobs(*'ab'), probe_after=1), a=[lost()]))

    def test_a_file_that_kills_each_connection_does_not_stop_the_others(self):
        plan = Plan(jobs(*'abc'))
        self.assertEqual('a1 a2 b1 c1', self.run_plan(plan, a=lost()))
        self.assertIsNone(plan.stopped)

    def test_several_files_that_kill_each_connection_do_not_stop_the_others(self):
        plan = Plan(jobs(*'abcdefg'))
        attempts = self.run_plan(plan, **dict.fromkeys('abcde', lost()))
        self.assertEqual('a1 a2 b1 g1 c1 c2 d1 f1 e1 e2 b2 d2', attempts)
        self.assertEqual((2, None), (plan.stored, plan.stopped))

    def test_what_has_failed_before_ends_no_run_that_has_stored_something(self):
        old = [job._replace(has_failed=True) for job in jobs(*'bcdefg')]
        for names, stopped in ('a', False), ('', True):
            plan = Plan(jobs(*names) + old)
            attempts = self.run_plan(plan, **dict.fromkeys('bcdefg', lost()))
            self.assertEqual('b1 c1 d1 e1', attempts.removeprefix('a1 '))
            self.assertEqual(stopped, plan.stopped is not None)

    def test_whatever_fails_the_last_one_that_has_not_failed_before_is_tried(self):
        names = 'abcde'
        old = [job._replace(has_failed=True) for job in jobs(*names, size=4)]
        for error in lost(), refused(), errors.TemporaryError(450, '450'):
            bounds = {}, {'max_files': 1}, {'max_files': 2}, {'max_bytes': 7}
            for options in *bounds, {'probe_after': 1}:
                with self.subTest(error=error, **options):
                    plan = Plan([*old, *jobs('last', size=4)], **options)
                    self.assertIn('last1', self.run_plan(plan, **dict.fromkeys(names, error)))
                    self.assertEqual((1, None), (plan.stored, plan.stopped))

    def test_so_it_is_with_several_connections(self):
        """Then nothing else is begun until it has ended."""
        old = [job._replace(has_failed=True) for job in jobs(*'abcdefgh')]
        for ends, others in (None, 'fgh'), (errors.TemporaryError(450, '450'), ''):
            plan = Plan([*old, *jobs('last')])
            under_way = [plan.next() for _ in range(4)]
            for job in under_way:
                plan.settle(Outcome(job=job, error=errors.TemporaryError(450, '450')))
            self.assertIsNone(plan.stopped)
            last = plan.next()
            self.assertEqual(('last', None), (last.name, plan.next()))
            plan.settle(Outcome(job=last, error=ends))
            rest = [job.name for job in iter(plan.next, None)]
            self.assertEqual(['e', *others] if others else [], rest)
            self.assertEqual(ends is not None, plan.stopped is not None)

    def test_what_keeps_others_from_being_tried(self):
        away = errors.FTPOSError(111, 'Connection refused')
        away.while_connecting = True
        late = errors.DeadlinePassed('The time of this run is used up')
        wrong = errors.PermanentError(502, '502 No RNTO.', exit_code=78)
        for failures, expected in (
            ({'a': refused()}, ''),
            ({'a': refused(), 'b': late}, 'ab'),
            ({'a': refused(), 'b': wrong}, 'ab'),
            ({'b': refused(), 'c': wrong}, 'bc'),
            ({'b': refused(), 'd': wrong}, 'd'),  # c was stored in between
            ({'c': refused(), 'd': late}, 'd'),
            ({'c': lost(), 'd': away}, 'cd'),
        ):
            with self.subTest(failures):
                plan = Plan(jobs(*'abcd'), probe_after=9)
                self.run_plan(plan, **failures)
                plan.proven()
                self.assertEqual([*expected], [job.name for job in plan.blocking()])

    def test_what_has_failed_and_was_not_tried_again(self):
        plan, error = Plan(jobs(*'abc'), probe_after=1), lost()
        away = lost()
        away.while_connecting = True
        self.run_plan(plan, a=error, c=away)
        self.assertEqual([('a', error)], [(job.name, e) for job, e in plan.unfinished()])
        self.assertEqual([], plan.unfinished())

    def test_too_many_losses_in_a_row_end_the_run(self):
        plan = Plan(jobs(*'abcde'))
        attempts = self.run_plan(plan, **{name: lost() for name in 'abcde'})
        self.assertEqual(LOSSES, len(attempts.split()))
        self.assertIsInstance(plan.stopped, errors.ConnectionLost)

    def test_without_a_server_nothing_else_is_tried(self):
        error = lost()
        error.while_connecting = True
        plan = Plan(jobs(*'abc'))
        self.assertEqual('a1', self.run_plan(plan, a=error))
        self.assertIs(error, plan.stopped)

    def test_one_file_also_where_there_shall_be_none(self):
        plan = Plan(jobs(*'abc'), max_files=0)
        self.assertEqual('a', plan.next().name)
        self.assertEqual([], plan.waiting(2))

    def test_a_full_server_ends_the_run(self):
        full = errors.ServerFull(452, '452 Full')
        plan = Plan(jobs(*'abcdef'))
        self.assertEqual('a1 b1 c1 f1', self.run_plan(plan, **dict.fromkeys('abcdef', full)))
        self.assertIs(full, plan.stopped)

    def test_so_does_one_without_room_for_what_came_last(self):
        for error in errors.ServerFull(452, '452 Full'), errors.SpoolFull('tmp: full'):
            plan = Plan(jobs(*'abc'))
            self.run_plan(plan, c=error)
            plan.finish()
            self.assertIs(error, plan.stopped)

    def test_also_one_that_has_refused_the_only_one_before(self):
        error = errors.ServerFull(452, '452 Full')
        plan = Plan([jobs('a')[0]._replace(has_failed=True)])
        self.run_plan(plan, a=error)
        plan.finish()
        self.assertIs(error, plan.stopped)

    def test_not_one_that_has_room_for_another_or_is_known_to_refuse_this_one(self):
        for name, has_failed in ('b', False), ('c', True):
            waiting = [job._replace(has_failed=has_failed) for job in jobs(*'abc')]
            plan = Plan(waiting)
            self.run_plan(plan, **{name: errors.ServerFull(452, '452 Full')})
            plan.finish()
            self.assertIsNone(plan.stopped)

    def test_whose_fault_it_is(self):
        """That of the file if another one is stored behind it, whatever was said of it."""
        for error in (
            refused(),
            lost(),
            errors.TemporaryError(450, '450'),
            errors.ServerFull(552, '552'),
            errors.SizeMismatch('9 bytes were sent, but it has 3'),
        ):
            for names, proven in ('b', 'b'), ('e', ''), ('bde', 'b'), ('bc', 'bc'), ('abcde', ''):
                with self.subTest(names, error=error):
                    plan = Plan(jobs(*'abcde'))
                    self.run_plan(plan, **dict.fromkeys(names, error))
                    found = plan.proven()
                    self.assertEqual([*proven], sorted(job.name for job, _ in found))
                    self.assertTrue(all(e is error for _, e in found))
                    self.assertEqual([], plan.proven())

    def test_what_was_under_way_already_proves_nothing(self):
        plan = Plan(jobs(*'abc'))
        first, second = plan.next(), plan.next()
        plan.settle(Outcome(job=first, error=errors.TemporaryError(451, '451 Disk.')))
        plan.settle(Outcome(job=second))
        self.assertEqual([], plan.proven())
        plan.settle(Outcome(job=plan.next()))
        self.assertEqual([first], [job for job, _ in plan.proven()])

    def test_what_comes_through_in_the_end_is_nobodys_fault(self):
        plan = Plan(jobs(*'ab'))
        self.run_plan(plan, a=[lost()])
        self.assertEqual([], plan.proven())

    def test_what_turned_out_to_be_nothing_makes_room_for_another_one(self):
        plan = Plan(jobs(*'abc'), max_files=1)
        first = plan.next()
        self.assertIsNone(plan.next())
        self.assertTrue(plan.limited)
        plan.settle(Outcome(job=first, error=errors.SourceGone('a is gone')))
        plan.uncount(first)
        self.assertEqual((1, False), (len(plan.waiting(5)), plan.limited))
        self.assertEqual(('b1', True), (self.run_plan(plan), plan.limited))

    def test_so_do_many_files_in_a_row_that_it_cannot_take_for_now(self):
        error = errors.TemporaryError(451, '451 Disk.', hint='Ask.')
        plan = Plan(jobs(*'abcdef'))
        self.assertEqual('a1 b1 c1 f1', self.run_plan(plan, **dict.fromkeys('abcdef', error)))
        stopped = plan.stopped
        self.assertEqual((69, '451 Disk.', 'Ask.'), (stopped.exit_code, str(stopped), stopped.hint))
        self.assertEqual(1, error.exit_code)

    def test_some_of_them_do_not(self):
        error = errors.TemporaryError(451, '451 Disk.')
        plan = Plan(jobs(*'abcdefgh'))
        self.run_plan(plan, **dict.fromkeys('abcefg', error))
        self.assertIsNone(plan.stopped)

    def test_a_directory_that_is_gone_ends_the_run(self):
        gone = errors.PermanentError(550, '550 No such directory.', exit_code=78)
        plan = Plan(jobs(*'abc'))
        self.assertEqual('a1', self.run_plan(plan, a=gone))
        self.assertIs(gone, plan.stopped)

    def test_a_limit_of_files(self):
        plan = Plan(jobs(*'abc'), max_files=2)
        self.assertEqual(('a1 b1', True), (self.run_plan(plan), plan.limited))

    def test_a_limit_that_is_just_met_is_not_reached(self):
        plan = Plan(jobs(*'ab'), max_files=2, max_bytes=2)
        self.assertEqual(('a1 b1', False), (self.run_plan(plan), plan.limited))

    def test_a_limit_of_bytes(self):
        plan = Plan(jobs(*'abc', size=4), max_bytes=9)
        self.assertEqual(('a1 b1', True), (self.run_plan(plan), plan.limited))

    def test_one_file_is_always_allowed(self):
        self.assertEqual('a1', self.run_plan(Plan(jobs(*'abc', size=4), max_bytes=3)))

    def test_a_second_attempt_does_not_count_for_the_limit(self):
        plan = Plan(jobs(*'abc'), max_files=2)
        self.assertEqual('a1 a2 b1', self.run_plan(plan, a=[lost()]))

    def test_what_is_added_comes_behind_the_others_and_counts(self):
        for most, expected in (None, 'b1 newer1'), (2, 'b1'):
            plan = Plan(jobs(*'ab'), max_files=most)
            plan.next()
            plan.add(jobs('newer'))
            self.assertEqual(expected, self.run_plan(plan))

    def test_the_first_reason_to_stop_counts(self):
        plan, first = Plan(jobs(*'a')), refused()
        plan.stop(first)
        plan.stop(lost())
        self.assertIs(first, plan.stopped)
        self.assertIsNone(plan.next())

    def test_each_job_is_announced(self):
        announced = []
        plan = Plan(jobs(*'ab'), started=lambda job: announced.append((job.name, job.attempt)))
        self.run_plan(plan, a=[lost()])
        self.assertEqual([('a', 1), ('a', 2), ('b', 1)], announced)
