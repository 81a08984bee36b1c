# Fills a fresh Redmine: projects with issues, journals, news, versions and members.
User.current = nil
Setting.rest_api_enabled = '1'
Setting.login_required = '0'
Setting.notified_events = []
admin = User.find_by_login('admin')
admin.update!(must_change_passwd: false, status: User::STATUS_ACTIVE)
role = Role.givable.first
trackers = Tracker.all.to_a
users = (1..20).map do |n|
  user = User.new(firstname: "First#{n}", lastname: "Last#{n}", mail: "user#{n}@example.org", language: 'en')
  user.login = "user#{n}"
  user.password = user.password_confirmation = 'password-of-many'
  user.mail_notification = 'none'
  user.save!
  user.api_key
  Token.where(user: user, action: 'api').update_all(value: format('%040d', n))
  user
end
projects = (1..5).map do |n|
  project = Project.new(name: "Project #{n}", description: "Words about project #{n}. " * 10, is_public: true)
  project.identifier = "project-#{n}"
  project.trackers = trackers
  project.enabled_module_names = %w[issue_tracking time_tracking news wiki calendar gantt]
  project.save!
  users.each { |u| Member.create!(project: project, principal: u, roles: [role]) }
  3.times { |v| Version.create!(project: project, name: "#{v}.0", due_date: Date.new(2030, 1, 1 + v)) }
  3.times { |v| News.create!(project: project, title: "News #{v}", summary: 'Short', description: 'Long ' * 40, author: admin) }
  2.times { |c| IssueCategory.create!(project: project, name: "Category #{c}") }
  project
end
time = Time.utc(2026, 1, 1)
statuses = IssueStatus.order(:id).to_a
priorities = IssuePriority.order(:id).to_a
projects.each do |project|
  versions, categories = project.versions.to_a, project.issue_categories.to_a
  100.times do |n|
    at = time + n * 3600
    Issue.insert({ tracker_id: trackers[n % trackers.size].id, project_id: project.id, subject: "Issue #{n} of #{project.name}",
      description: "What is wrong in h2. #{n}\n\n* one\n* two\n\n" + 'Many words. ' * 30, status_id: statuses[n % 3].id,
      priority_id: priorities[n % priorities.size].id, author_id: users[n % 20].id, assigned_to_id: users[(n + 7) % 20].id,
      fixed_version_id: versions[n % versions.size].id, category_id: categories[n % 2].id, done_ratio: n % 10 * 10,
      lock_version: 0, lft: 1, rgt: 2, is_private: false, created_on: at, updated_on: at, start_date: at.to_date })
  end
end
ActiveRecord::Base.connection.execute('UPDATE issues SET root_id = id')
ActiveRecord::Base.connection.execute(<<~SQL)
  INSERT INTO journals (journalized_id, journalized_type, user_id, notes, created_on)
  SELECT i.id, 'Issue', i.author_id, 'A note, number ' || n || repeat(', and more of it', 10), i.created_on + n * interval '1 hour'
  FROM issues i, generate_series(1, 3) n
SQL
